// Package tablestore keeps tiers, groups, subscriptions and keys in Azure Table Storage, one
// row for each, in the tables tiers, groups, subscriptions and apikeys. A row is replaced only
// if its ETag shows that nobody has changed it. Start reading at Store; table.go has the
// operations on rows, columns.go their layout.
package tablestore

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/subscription"
)

// Tables are the names of a Store's tables.
type Tables struct{ Tiers, Groups, Subscriptions, Keys string }

// DefaultTables are the names of the tables in a deployment.
var DefaultTables = Tables{Tiers: "tiers", Groups: "groups", Subscriptions: "subscriptions", Keys: "apikeys"}

// A Store is a subscription.Store in tables. Make one with New.
type Store struct {
	tiers, groups, subscriptions, keys table
}

var _ subscription.Store = (*Store)(nil)

// New returns a store in a storage account. It makes no request. A table that doesn't exist
// reads as empty, and the first write creates it.
func New(service *aztables.ServiceClient, tables Tables) *Store {
	return &Store{
		tiers:         newTable(service, tables.Tiers),
		groups:        newTable(service, tables.Groups),
		subscriptions: newTable(service, tables.Subscriptions),
		keys:          newTable(service, tables.Keys),
	}
}

// Partitions and row keys. The three small tables have one partition each; each key has a
// partition of its own, so that the service can spread look-ups over its servers.
const (
	tierPartition         = "tier"
	groupPartition        = "group"
	subscriptionPartition = "subscription"
	keyRow                = "key"
	// pepperPartition is too short to be a key's hash.
	pepperPartition = "pepper"
	pepperRow       = "fingerprint"
)

// Key implements subscription.Store.
func (s *Store) Key(ctx context.Context, hash string) (subscription.KeyRecord, error) {
	var k keyColumns
	_, err := s.keys.get(ctx, hash, keyRow, &k)
	return k.record(hash), err
}

func (s *Store) Hashes(ctx context.Context, atMost int) (hashes []string, err error) {
	err = s.keys.list(ctx, query{columns: "PartitionKey,RowKey"}, func(partition string, _ []byte) error {
		if partition == pepperPartition {
			return nil
		}
		hashes = append(hashes, partition)
		if len(hashes) >= atMost {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return hashes, err
}

// errEnough ends a listing early.
var errEnough = errors.New("enough")

func (s *Store) Subscription(ctx context.Context, id string) (sub subscription.Subscription, err error) {
	_, err = s.subscriptions.get(ctx, subscriptionPartition, id, &sub)
	return sub, err
}

func (s *Store) Tier(ctx context.Context, id string) (tier subscription.Tier, err error) {
	_, err = s.tiers.get(ctx, tierPartition, id, &tier)
	_ = tier.ExpandShortForm() // an edited row may have one; Effective reports its faults
	return tier, err
}

func (s *Store) Group(ctx context.Context, id string) (group subscription.Group, err error) {
	_, err = s.groups.get(ctx, groupPartition, id, &group)
	return group, err
}

func (s *Store) PutTier(ctx context.Context, t subscription.Tier) (int64, error) {
	expected := t.Version
	if err := t.ExpandShortForm(); err != nil {
		return 0, err
	}
	t.Version = subscription.NextVersion(expected, time.Now())
	return t.Version, s.tiers.put(ctx, tierPartition, t.ID, expected, t)
}

func (s *Store) PutSubscription(ctx context.Context, sub subscription.Subscription) (int64, error) {
	expected := sub.Version
	sub.Version = subscription.NextVersion(expected, time.Now())
	return sub.Version, s.subscriptions.put(ctx, subscriptionPartition, sub.ID, expected, sub)
}

func (s *Store) PutGroup(ctx context.Context, g subscription.Group) (int64, error) {
	expected := g.Version
	g.Version = subscription.NextVersion(expected, time.Now())
	return g.Version, s.groups.put(ctx, groupPartition, g.ID, expected, g)
}

func (s *Store) DeleteTier(ctx context.Context, id string, version int64) error {
	return s.tiers.deleteVersion(ctx, tierPartition, id, version)
}

func (s *Store) DeleteGroup(ctx context.Context, id string, version int64) error {
	return s.groups.deleteVersion(ctx, groupPartition, id, version)
}

func (s *Store) DeleteSubscription(ctx context.Context, id string, version int64) error {
	return s.subscriptions.deleteVersion(ctx, subscriptionPartition, id, version)
}

func (s *Store) Groups(ctx context.Context) (all []subscription.Group, err error) {
	err = s.groups.list(ctx, query{}, func(_ string, row []byte) error {
		all = append(all, subscription.Group{})
		return decode(row, &all[len(all)-1])
	})
	return all, err
}

func (s *Store) Tiers(ctx context.Context) (all []subscription.Tier, err error) {
	err = s.tiers.list(ctx, query{}, func(_ string, row []byte) error {
		all = append(all, subscription.Tier{})
		tier := &all[len(all)-1]
		err := decode(row, tier)
		_ = tier.ExpandShortForm()
		return err
	})
	return all, err
}

func (s *Store) Subscriptions(ctx context.Context) (all []subscription.Subscription, err error) {
	err = s.subscriptions.list(ctx, query{}, func(_ string, row []byte) error {
		all = append(all, subscription.Subscription{})
		return decode(row, &all[len(all)-1])
	})
	return all, err
}

func (s *Store) PutKey(ctx context.Context, k subscription.KeyRecord) error {
	return s.keys.put(ctx, k.Hash, keyRow, 0, keyColumns{k.Subscription, k.Slot, k.Created, k.Expires})
}

func (s *Store) Keys(ctx context.Context, sub string) (all []subscription.KeyRecord, err error) {
	err = s.keys.list(ctx, query{filter: "subscription eq '" + strings.ReplaceAll(sub, "'", "''") + "'"}, func(hash string, row []byte) error {
		var k keyColumns
		err := decode(row, &k)
		all = append(all, k.record(hash))
		return err
	})
	return all, err
}

func (s *Store) ExpireKey(ctx context.Context, hash string, at time.Time) error {
	return s.keys.edit(ctx, hash, keyRow, func(row []byte) (any, error) {
		var k keyColumns
		err := decode(row, &k)
		k.Expires = at
		return k, err
	})
}

func (s *Store) DeleteKey(ctx context.Context, hash string) error {
	return s.keys.Delete(ctx, hash, keyRow, nil)
}

// fingerprintColumns are the columns of the pepper's fingerprint.
type fingerprintColumns struct {
	Fingerprint string `json:"fingerprint"`
}

func (s *Store) Fingerprint(ctx context.Context) (string, error) {
	var f fingerprintColumns
	_, err := s.keys.get(ctx, pepperPartition, pepperRow, &f)
	return f.Fingerprint, err
}

func (s *Store) PutFingerprint(ctx context.Context, fingerprint string) error {
	err := s.keys.put(ctx, pepperPartition, pepperRow, 0, fingerprintColumns{fingerprint})
	if !errors.Is(err, subscription.ErrExists) {
		return err
	}
	return s.keys.edit(ctx, pepperPartition, pepperRow, func([]byte) (any, error) { return fingerprintColumns{fingerprint}, nil })
}
