package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"tollgate/handler/local/azurite"
	"tollgate/handler/local/fakemodel"
)

// completion is the size of the model's answers in tokens, unless a call caps it: an answer of
// 1.4 KB, or a stream of 256 events.
const completion = 256

// serveModel serves the simulated model, without delays or with the behaviour in its argument.
func serveModel(args []string) error {
	behaviour, err := fakemodel.Behaviour{Completion: completion}.With(strings.Join(args, ","))
	if err != nil {
		return err
	}
	return serve(&fakemodel.Endpoint{Behaviour: behaviour})
}

// serveProxy serves the program that the gateway is compared with: the standard library's
// proxy, with a pool of buffers and as many idle connections as the gateway.
func serveProxy(args []string) error {
	if len(args) != 1 {
		return errors.New("part-proxy takes the address to forward calls to")
	}
	to, err := url.Parse(args[0])
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.MaxIdleConns = 512, 0
	proxy := &httputil.ReverseProxy{
		Rewrite:    func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport:  transport,
		BufferPool: &copyBuffers{},
	}
	return serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Without this, an answer that begins before the request's body has been read
		// sometimes breaks off.
		_ = http.NewResponseController(w).EnableFullDuplex()
		proxy.ServeHTTP(w, r)
	}))
}

// copyBuffers is a httputil.BufferPool: without one the proxy allocates 32 KiB a call.
type copyBuffers struct{ pool sync.Pool }

func (b *copyBuffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[32 << 10]byte); ok {
		return buffer[:]
	}
	return make([]byte, 32<<10)
}

func (b *copyBuffers) Put(buffer []byte) { b.pool.Put((*[32 << 10]byte)(buffer)) }

// serve serves on a free port, whose address it prints, until standard input ends, so that
// a part never outlives the bench.
func serve(handler http.Handler) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + listener.Addr().String())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return server.Serve(listener)
}

// A process is one that the bench started.
type process struct {
	cmd   *exec.Cmd
	url   string
	stdin io.Closer // ends a part
}

// startPart starts a part and waits until it listens.
func startPart(name string, args ...string) (*process, error) {
	own, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(own, append([]string{name}, args...)...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	p := &process{cmd, strings.TrimSpace(line), stdin}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("start %s: it exited before it listened", name)
	}
	return p, nil
}

// buildGateway builds the gateway and returns its path.
func buildGateway(ctx context.Context) (string, error) {
	folder := filepath.Join(".local", "bench-gateway")
	cmd := exec.CommandContext(ctx, "make", "--no-print-directory", "build", "DIST="+folder)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build the gateway: %w", err)
	}
	return filepath.Join(folder, "handler"), nil
}

// startGateway starts a gateway. Its log goes through a pipe, as under the
// Functions host.
func startGateway(binary string, settings []string) (*process, error) {
	port, err := azurite.FreePort()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), append(settings, "PORT="+port, "FUNCTIONS_CUSTOMHANDLER_PORT=", "FUNCTIONS_HTTPWORKER_PORT=")...)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(io.Discard), os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the gateway: %w", err)
	}
	return &process{cmd: cmd, url: "http://127.0.0.1:" + port}, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends a process and waits for its end.
func (p *process) stop() {
	if p.stdin != nil {
		_ = p.stdin.Close()
	} else {
		_ = p.cmd.Process.Signal(os.Interrupt)
	}
	timer := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait() // its exit status doesn't matter
	timer.Stop()
}

// clockTick is the unit of /proc/PID/stat's times, 1/100 s on every Linux that
// Go runs on.
const clockTick = 10 * time.Millisecond

// cpuTime returns a process's user and system time, on Linux.
func (p *process) cpuTime() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
	if err != nil {
		return 0, fmt.Errorf("read a process's times (Linux only): %w", err)
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the name may contain anything
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat is not as expected")
	}
	user, e1 := strconv.ParseInt(fields[11], 10, 64)
	system, e2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, errors.Join(e1, e2)
}

// resident returns a process's resident memory in bytes, on Linux.
func (p *process) resident() (int64, error) { return p.memory("VmRSS:") }

// mostResident returns a process's peak resident memory in bytes, on Linux.
func (p *process) mostResident() (int64, error) { return p.memory("VmHWM:") }

func (p *process) memory(name string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		return 0, fmt.Errorf("read a process's memory (Linux only): %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if kb, found := strings.CutPrefix(line, name); found {
			n, err := strconv.ParseInt(strings.Fields(kb)[0], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/PID/status has no %s", name)
}
