package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// starts is the number of gateways started after each restart for each measured time.
const starts = 3

// gateway times the starts of gateways, and leaves one running that serves only DeepSeek-R1.
func (s *comparison) gateway(ctx context.Context, model string) (*process, error) {
	settings := s.store.gatewaySettings(model)
	for range starts {
		p, took, err := s.timedStart(ctx, append(settings, "MODELS="+strings.Join(countedModels, ",")), countedModels)
		if err != nil {
			return nil, err
		}
		p.stop()
		s.starts.all = append(s.starts.all, took)
	}
	for {
		p, took, err := s.timedStart(ctx, settings, countedModels[:1])
		if err != nil {
			return nil, err
		}
		if s.starts.one = append(s.starts.one, took); len(s.starts.one)%starts != 0 {
			p.stop()
			continue
		}
		s.processes = append(s.processes, p)
		s.idle, err = p.resident()
		return p, err
	}
}

// timedStart starts a gateway and returns the time until it had answered a first call of
// each model.
func (s *comparison) timedStart(ctx context.Context, settings, models []string) (*process, time.Duration, error) {
	begun := time.Now()
	p, err := startGateway(s.binary, settings)
	if err != nil {
		return nil, 0, err
	}
	t := &target{"gateway", p, s.store.keys[byPrompt]}
	errs := make([]error, len(models))
	var group sync.WaitGroup
	for i, model := range models {
		group.Go(func() { errs[i] = t.firstAnswer(ctx, model) })
	}
	group.Wait()
	took := time.Since(begun)
	if err := errors.Join(errs...); err != nil {
		p.stop()
		return nil, 0, err
	}
	return p, took, nil
}

// firstAnswer calls a model until the gateway listens, and requires a complete answer then.
func (t *target) firstAnswer(ctx context.Context, model string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	c := call{body: strings.Replace(plain.body, countedModels[0], model, 1)}
	for tick := time.Tick(time.Millisecond); ; {
		_, err := t.do(ctx, c, make([]byte, 32<<10))
		if err == nil || !strings.Contains(err.Error(), "connection refused") {
			return err
		}
		select {
		case <-tick:
		case <-ctx.Done():
			return fmt.Errorf("the gateway never listened: %w", err)
		}
	}
}
