// Command r1sim serves a simulated DeepSeek-R1 endpoint on this machine, for a gateway
// to call.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"tollgate/handler/local/r1sim"
)

func main() {
	port := flag.Int("port", 8090, "the port of 127.0.0.1 to listen on; 0: any free one")
	var endpoint r1sim.Endpoint
	flag.Func("behave", "how to answer, such as first-token=2s,pace=50ms or status=429,retry-after=7s; see r1sim.Behaviour", func(text string) (err error) {
		endpoint.Behaviour, err = endpoint.Behaviour.With(text)
		return err
	})
	flag.Parse()
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(*port)))
	if err != nil {
		fmt.Fprintln(os.Stderr, "r1sim can't start:", err)
		os.Exit(1)
	}
	fmt.Printf("r1sim listens on http://%s, api-key %s\n", listener.Addr(), r1sim.Key)
	server := &http.Server{Handler: &endpoint, ReadHeaderTimeout: 5 * time.Second}
	fmt.Fprintln(os.Stderr, "r1sim stopped:", server.Serve(listener))
	os.Exit(1)
}
