package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	counting "tollgate/handler/tokens"
)

func (a *app) tokensCommand() *cobra.Command {
	return commandGroup("tokens", "Count tokens as the gateway does",
		"Count tokens as the gateway does when an endpoint reports no usage.",
		`  echo '{"text":"Hello, world"}' | tollgate tokens count`,
		a.tokensCount())
}

func (a *app) tokensCount() *cobra.Command {
	var model string
	cmd := &cobra.Command{
		Use:   "count",
		Short: "Count texts and chats from stdin, one JSON object a line",
		Long: `Each line of stdin is a JSON object with a text, or with the messages of a chat
completion call; other fields are ignored. For each, one number is printed on a
line of its own; blank lines are skipped. The command stops at the first invalid
line and names it on stderr. It needs no settings and no storage.`,
		Example: `  echo '{"text":"Hello, world"}' | tollgate tokens count
  tollgate tokens count --model gpt-4o < chats.jsonl`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			encoding := counting.ForModel(model)
			if !encoding.Known() {
				a.warn([]string{fmt.Sprintf("no encoding is known for %q: its tokens are counted as DeepSeek-V3's", model)})
			}
			return countLines(encoding, cmd.InOrStdin(), a.stdout)
		},
	}
	cmd.Flags().StringVar(&model, "model", "DeepSeek-R1", "the model whose tokens to count")
	return cmd
}

// countLines counts each line of in. If a line is invalid, the counts before it are still
// printed.
func countLines(encoding *counting.Encoding, in io.Reader, out io.Writer) (err error) {
	lines, counts := bufio.NewReaderSize(in, 64<<10), bufio.NewWriter(out)
	defer func() { err = errors.Join(err, counts.Flush()) }()
	for number := 1; ; number++ {
		line, ended := lines.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			count, err := countLine(encoding, line)
			if err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
			_, _ = counts.WriteString(strconv.Itoa(count) + "\n") // Flush returns the error
		}
		if ended == io.EOF {
			return nil
		}
		if ended != nil {
			return ended
		}
		if lines.Buffered() == 0 { // the writer may wait for the counts before it goes on
			if err := counts.Flush(); err != nil {
				return err
			}
		}
	}
}

func countLine(encoding *counting.Encoding, line []byte) (int, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		if _, another := errors.AsType[*json.UnmarshalTypeError](err); another { // JSON of another type: the error would use Go's names
			err = errors.New(`write {"text":"…"} or {"messages":[…]}`)
		}
		return 0, fmt.Errorf("not a JSON object: %w", err)
	}
	has := func(name string) bool { return fields[name] != nil && string(fields[name]) != "null" }
	switch {
	case has("text") == has("messages"):
		return 0, errors.New("it must have either text or messages")
	case has("messages"):
		return encoding.CountChat(fields["messages"], nil)
	}
	var text string
	if err := json.Unmarshal(fields["text"], &text); err != nil {
		return 0, errors.New("text must be a string")
	}
	return encoding.Count(text), nil
}
