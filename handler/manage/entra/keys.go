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
	// fetchTime bounds one reading of the issuer's keys, its description included.
	fetchTime = 5 * time.Second
	// fetchEvery is the shortest time between two readings. Anyone can send a token
	// that names an unknown key, or come while the issuer is down.
	fetchEvery = 10 * time.Second
	// keysFresh is how long keys are used before they are read again.
	keysFresh = time.Hour
	// keysKept is how long keys are used while the issuer can't be reached.
	keysKept = 24 * time.Hour
	// largest is the largest answer of the issuer that is read, in bytes.
	largest = 1 << 20
)

// keys are the signing keys that an issuer publishes, read when a token needs
// them.
type keys struct {
	issuer string
	client *http.Client
	log    *slog.Logger
	limit  *rate.Limiter // of readings

	mu      sync.Mutex
	address string          // of the keys; empty until the issuer described itself
	set     keyfunc.Keyfunc // nil until they were first read
	ids     map[string]bool // of the keys in set
	read    time.Time       // when set was
	err     error           // of the last reading
	pending chan struct{}   // closed when the reading under way ends; nil: there is none
}

func newKeys(issuer string, client *http.Client, log *slog.Logger) *keys {
	return &keys{issuer: issuer, client: client, log: log, limit: rate.NewLimiter(rate.Every(fetchEvery), 1)}
}

// find returns the key that a token was signed with, by its header. It reads the
// issuer's keys again where they are old or none has the token's kid, and waits
// for that as long as the caller does. errUnreadable: whether there is such a key
// can't be told.
func (k *keys) find(ctx context.Context, token *jwt.Token) (any, error) {
	kid, named := token.Header["kid"].(string)
	k.mu.Lock()
	age := time.Since(k.read)
	known := k.set != nil && (!named || k.ids[kid])
	if (!known || age >= keysFresh) && k.pending == nil && k.limit.Allow() {
		k.pending = make(chan struct{})
		go k.refresh()
	}
	pending := k.pending
	k.mu.Unlock()
	if pending != nil && (!known || age >= keysFresh) {
		select {
		case <-pending:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", errUnreadable, ctx.Err())
		}
	}
	k.mu.Lock()
	set, err := k.set, k.err
	known = set != nil && (!named || k.ids[kid]) && time.Since(k.read) < keysKept
	k.mu.Unlock()
	switch {
	case !known && err != nil:
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	case set == nil:
		return nil, errUnreadable
	}
	return set.KeyfuncCtx(ctx)(token)
}

// errUnreadable says that the issuer's keys can't be read.
var errUnreadable = errors.New("the issuer's keys can't be read")

// refresh reads the keys for all who wait, however long each of them does.
func (k *keys) refresh() {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTime)
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
		k.set, k.ids, k.read = set, ids, time.Now()
	}
	close(k.pending)
	k.pending = nil
}

// fetch reads the keys at an address, or first where they are if it is empty. An
// address whose keys can't be read is forgotten: the issuer may have moved them.
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
		if err != nil { // of a kind that signs no token we take
			continue
		}
		if err := storage.KeyWrite(ctx, key); err != nil {
			return "", nil, nil, fmt.Errorf("its keys: %w", err)
		}
		ids[key.Marshal().KID] = true
	}
	if len(ids) == 0 {
		return "", nil, nil, errors.New("its keys: it publishes none that can be used")
	}
	set, err := keyfunc.New(keyfunc.Options{Storage: storage})
	if err != nil {
		return "", nil, nil, err
	}
	return address, set, ids, nil
}

// discover reads where the issuer's keys are.
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
		return "", fmt.Errorf("it describes itself as %q: set MANAGE_ISSUER to what tokens have as iss", found.Issuer)
	}
	return found.Keys, nil
}

// get reads a JSON answer.
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
	if err := json.NewDecoder(io.LimitReader(response.Body, largest)).Decode(into); err != nil {
		return fmt.Errorf("can't be read: %w", err)
	}
	return nil
}
