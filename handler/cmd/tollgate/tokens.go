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
	return group("tokens", "Count tokens as the gateway does",
		"What the gateway counts where a model's own usage isn't known.",
		`  echo '{"text":"Hello, world"}' | tollgate tokens count`,
		a.tokensCount())
}

func (a *app) tokensCount() *cobra.Command {
	var model string
	cmd := &cobra.Command{
		Use:   "count",
		Short: "Count texts and chats that stdin has as JSON, one a line",
		Long: `Each line of stdin is a JSON object with a text, or with a chat's messages as
in a chat completion call; other fields are ignored. For each, one number is
printed on a line of its own; blank lines have none. A line that can't be read
ends it, named on stderr. It needs no settings and no storage.`,
		Example: `  echo '{"text":"Hello, world"}' | tollgate tokens count
  tollgate tokens count --model gpt-4o < chats.jsonl`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			encoding := counting.ForModel(model)
			if !encoding.Known() {
				a.warn([]string{fmt.Sprintf("no encoding is known for %q: its tokens are counted as DeepSeek-V3's", model)})
			}
			return countLines(encoding, cmd.InOrStdin(), a.stdout)
		},
	}
	cmd.Flags().StringVar(&model, "model", "DeepSeek-R1", "whose tokens to count")
	return cmd
}

// countLines counts each line of in, and prints all that it counted even if a
// line can't be.
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
			_, _ = counts.WriteString(strconv.Itoa(count) + "\n") // Flush tells an error
		}
		if ended == io.EOF {
			return nil
		}
		if ended != nil {
			return ended
		}
		if lines.Buffered() == 0 { // whoever writes the lines may wait for the counts
			if err := counts.Flush(); err != nil {
				return err
			}
		}
	}
}

func countLine(encoding *counting.Encoding, line []byte) (int, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		if _, another := errors.AsType[*json.UnmarshalTypeError](err); another { // JSON of another kind, told in Go's names
			err = errors.New(`write {"text":"…"} or {"messages":[…]}`)
		}
		return 0, fmt.Errorf("this is no JSON object: %w", err)
	}
	has := func(name string) bool { return fields[name] != nil && string(fields[name]) != "null" }
	switch {
	case has("text") == has("messages"):
		return 0, errors.New("there must be either text or messages")
	case has("messages"):
		return encoding.CountChat(fields["messages"], nil)
	}
	var text string
	if err := json.Unmarshal(fields["text"], &text); err != nil {
		return 0, errors.New("text must be a string")
	}
	return encoding.Count(text), nil
}
