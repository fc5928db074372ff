// Command fakemodel serves a simulated model endpoint on this machine, for a gateway
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

	"tollgate/handler/local/fakemodel"
)

func main() {
	port := flag.Int("port", 8090, "the port of 127.0.0.1 to listen on; 0: any free one")
	var endpoint fakemodel.Endpoint
	flag.Func("behave", "how to answer, such as first-token=2s,pace=50ms or status=429,retry-after=7s; see fakemodel.Behaviour", func(text string) (err error) {
		endpoint.Behaviour, err = endpoint.Behaviour.With(text)
		return err
	})
	flag.Parse()
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(*port)))
	if err != nil {
		fmt.Fprintln(os.Stderr, "fakemodel can't start:", err)
		os.Exit(1)
	}
	fmt.Printf("fakemodel listens on http://%s, api-key %s\n", listener.Addr(), fakemodel.Key)
	server := &http.Server{Handler: &endpoint, ReadHeaderTimeout: 5 * time.Second}
	fmt.Fprintln(os.Stderr, "fakemodel stopped:", server.Serve(listener))
	os.Exit(1)
}
