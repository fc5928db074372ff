package appinsights

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/microsoft/ApplicationInsights-Go/appinsights/contracts"

	"tollgate/handler/telemetry"
)

// Sender is what a Client has below the library, whose goroutines don't end
// and so can't be in virtual time.
type Sender struct {
	*sender
	key string
}

// NewSender makes a sender as New does.
func NewSender(config Config) Sender {
	path := "v2/track"
	if config.Authentication.Entra {
		path = "v2.1/track"
	}
	if config.Room == 0 {
		config.Room = defaultRoom
	}
	return Sender{newSender(config, config.Connection.Endpoint+path), config.Connection.InstrumentationKey}
}

// Send hands a batch over as the library does.
func (s Sender) Send(batch telemetry.Batch) {
	var lines [][]byte
	for i := range batch.Metrics {
		item := &metricItem{metric: &batch.Metrics[i], namespace: DefaultNamespace}
		line, err := json.Marshal(envelop(s.key, item.TelemetryData(), item.Time(), contracts.ContextTags{}, 1))
		if err != nil {
			panic(err)
		}
		lines = append(lines, line)
	}
	request, err := http.NewRequest(http.MethodPost, "http://library", bytes.NewReader(pack(lines, batch.Metrics[0].At).packed))
	if err != nil {
		panic(err)
	}
	if _, err := s.RoundTrip(request); err != nil {
		panic(err)
	}
}

// Dropped is Client's.
func (s Sender) Dropped() map[string]int64 { return s.lost() }

// Close is Client's.
func (s Sender) Close(ctx context.Context) error { return s.close(ctx) }
