package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// checkSync asks a nats-server's monitoring port whether it syncs each message before it acks it. Its clients it does not tell.
func checkSync(ctx context.Context, monitor string) finding {
	f := finding{Check: "sync", Required: true}
	config, err := jetStreamConfig(ctx, monitor)
	switch {
	case err != nil:
		f.Found, f.Todo = err.Error(), "Give the address of each nats-server's monitoring port (http: in its configuration), as http://127.0.0.1:8222."
	case config == nil:
		f.Found, f.Todo = monitor+" runs without JetStream", "Give the servers that hold the streams."
	case !config.Always:
		f.Found = fmt.Sprintf("%s acks before it syncs, which it does every %v", monitor, config.Interval)
		f.Todo = "Put `sync_interval: always` into its jetstream block and restart it: until then what was acked last is lost with the power."
	default:
		f.OK, f.Found = true, monitor+" has on disk what it acks"
	}
	return f
}

type syncConfig struct {
	Always   bool          `json:"sync_always"`
	Interval time.Duration `json:"sync_interval"`
}

// jetStreamConfig is nil where the server has no JetStream.
func jetStreamConfig(ctx context.Context, monitor string) (*syncConfig, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(monitor, "/")+"/jsz", nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s how it syncs: %w", monitor, err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask %s how it syncs: %w", monitor, err)
	}
	defer answer.Body.Close()
	var got struct {
		Disabled bool        `json:"disabled"`
		Config   *syncConfig `json:"config"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&got); err != nil || answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s how it syncs: %s: is it a nats-server's monitoring port?", monitor, answer.Status)
	}
	if got.Disabled {
		return nil, nil
	}
	return got.Config, nil
}
