package entra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

const (
	// fetchTimeout bounds one reading of the issuer's description and keys.
	fetchTimeout = 5 * time.Second
	// minFetchInterval is the shortest time between two readings. Anyone can send tokens
	// that name unknown keys, so readings must be limited.
	minFetchInterval = 10 * time.Second
	// refreshAfter is the age at which keys are read again.
	refreshAfter = time.Hour
	// usableFor is the age up to which keys are used while the issuer is unreachable.
	usableFor = 24 * time.Hour
	// maxAnswer is the largest answer of the issuer, in bytes.
	maxAnswer = 1 << 20
)

// keys are the signing keys that an issuer publishes. They are read when a token needs
// them.
type keys struct {
	issuer     string
	client     *http.Client
	log        *slog.Logger
	fetchLimit *rate.Limiter // on readings

	mu      sync.Mutex
	address string          // of the keys; empty until the issuer's description was read
	set     keyfunc.Keyfunc // nil until first read
	ids     map[string]bool // of the keys in set
	readAt  time.Time       // when set was read
	err     error           // of the last reading; nil: it succeeded
	pending chan struct{}   // closed when the reading in progress ends; nil: none is in progress
}

// newKeys returns an issuer's keys, none of them read yet.
func newKeys(issuer string, client *http.Client, log *slog.Logger) *keys {
	return &keys{issuer: issuer, client: client, log: log, fetchLimit: rate.NewLimiter(rate.Every(minFetchInterval), 1)}
}

// find returns the key that a token's header names. It reads the issuer's keys again if
// they are old or lack the token's kid, and waits for that until ctx is done. It returns
// errUnreadable if it can't find out whether the key exists.
func (k *keys) find(ctx context.Context, token *jwt.Token) (any, error) {
	kid, named := token.Header["kid"].(string)
	k.mu.Lock()
	age := time.Since(k.readAt)
	known := k.set != nil && (!named || k.ids[kid])
	if (!known || age >= refreshAfter) && k.pending == nil && k.fetchLimit.Allow() {
		k.pending = make(chan struct{})
		go k.refresh()
	}
	pending := k.pending
	k.mu.Unlock()
	if pending != nil && (!known || age >= refreshAfter) {
		select {
		case <-pending:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", errUnreadable, ctx.Err())
		}
	}
	k.mu.Lock()
	set, err := k.set, k.err
	known = set != nil && (!named || k.ids[kid]) && time.Since(k.readAt) < usableFor
	k.mu.Unlock()
	switch {
	case !known && err != nil:
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	case set == nil:
		return nil, errUnreadable
	}
	return set.KeyfuncCtx(ctx)(token)
}

// errUnreadable means that the issuer's keys can't be read.
var errUnreadable = errors.New("the issuer's keys can't be read")

// refresh reads the keys for all calls that wait. It goes on if they leave.
func (k *keys) refresh() {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	k.mu.Lock()
	address := k.address
	k.mu.Unlock()
	address, set, ids, err := k.fetch(ctx, address)
	if err != nil {
		k.log.Warn("the issuer's keys can't be read", "cause", err.Error())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.address, k.err = address, err
	if err == nil {
		k.set, k.ids, k.readAt = set, ids, time.Now()
	}
	close(k.pending)
	k.pending = nil
}

// fetch reads the keys at an address; if it is empty, fetch discovers the address first.
// On an error it returns an empty address, because the issuer may have moved its keys.
func (k *keys) fetch(ctx context.Context, address string) (string, keyfunc.Keyfunc, map[string]bool, error) {
	if address == "" {
		var err error
		if address, err = k.discover(ctx); err != nil {
			return "", nil, nil, err
		}
	}
	var published struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := k.get(ctx, address, &published); err != nil {
		return "", nil, nil, fmt.Errorf("its keys: %w", err)
	}
	storage, ids := jwkset.NewMemoryStorage(), make(map[string]bool)
	for _, raw := range published.Keys {
		key, err := jwkset.NewJWKFromRawJSON(raw, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err != nil { // of a kind that can't sign an accepted token
			continue
		}
		if err := storage.KeyWrite(ctx, key); err != nil {
			return "", nil, nil, fmt.Errorf("its keys: %w", err)
		}
		ids[key.Marshal().KID] = true
	}
	if len(ids) == 0 {
		return "", nil, nil, errors.New("its keys: none of them can be used")
	}
	set, err := keyfunc.New(keyfunc.Options{Storage: storage})
	if err != nil {
		return "", nil, nil, err
	}
	return address, set, ids, nil
}

// discover returns the address of the issuer's keys.
// Source: https://openid.net/specs/openid-connect-discovery-1_0.html
func (k *keys) discover(ctx context.Context) (string, error) {
	var found struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := k.get(ctx, strings.TrimRight(k.issuer, "/")+"/.well-known/openid-configuration", &found); err != nil {
		return "", fmt.Errorf("its description: %w", err)
	}
	if found.Issuer != k.issuer || found.Keys == "" {
		return "", fmt.Errorf("it describes itself as %q: set MANAGE_ISSUER to the iss claim of its tokens", found.Issuer)
	}
	return found.Keys, nil
}

// get decodes a JSON answer.
func (k *keys) get(ctx context.Context, address string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := k.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("answered with %s", response.Status)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("can't be read: %w", err)
	}
	return nil
}
