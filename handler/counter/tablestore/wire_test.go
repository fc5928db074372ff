package tablestore_test

import "net/http"

// wire carries requests to the emulator. If struck is set, it may answer in the
// emulator's place.
type wire struct {
	struck func(*http.Request) *http.Response
}

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	if w.struck != nil {
		if answer := w.struck(r); answer != nil {
			return answer, nil
		}
	}
	return http.DefaultClient.Do(r)
}
