// Package tablestore keeps the directory in Azure Table Storage: the tables
// tiers, subscriptions and apikeys, a row each, changed under their ETags.
package tablestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/subscription"
)

// Tables are the tables' names. The zero value means the usual ones.
type Tables struct{ Tiers, Subscriptions, Keys string }

// Usual are the tables' names in a deployment.
var Usual = Tables{Tiers: "tiers", Subscriptions: "subscriptions", Keys: "apikeys"}

// Store is the directory in tables. Make one with New.
type Store struct {
	tiers, subscriptions, keys table
}

var _ subscription.Store = (*Store)(nil)

// New makes a store over an account. It makes no call: a table that isn't
// there is made by the first write to it, and read as empty until then.
func New(service *aztables.ServiceClient, tables Tables) *Store {
	return &Store{
		tiers:         table{service.NewClient(tables.Tiers)},
		subscriptions: table{service.NewClient(tables.Subscriptions)},
		keys:          table{service.NewClient(tables.Keys)},
	}
}

// The partitions of the two small tables; a key is a partition of its own, so
// that looking keys up spreads over the service.
const (
	tierPartition         = "tier"
	subscriptionPartition = "subscription"
	keyRow                = "key"
)

// Key implements subscription.Store, as do the methods that follow.
func (s *Store) Key(ctx context.Context, hash string) (subscription.KeyRecord, error) {
	var k keyColumns
	_, err := s.keys.get(ctx, hash, keyRow, &k)
	return k.record(hash), err
}

func (s *Store) Subscription(ctx context.Context, id string) (sub subscription.Subscription, err error) {
	_, err = s.subscriptions.get(ctx, subscriptionPartition, id, &sub)
	return sub, err
}

func (s *Store) Tier(ctx context.Context, id string) (tier subscription.Tier, err error) {
	_, err = s.tiers.get(ctx, tierPartition, id, &tier)
	return tier, err
}

func (s *Store) PutTier(ctx context.Context, t subscription.Tier) (int64, error) {
	expected := t.Version
	t.Version++
	return t.Version, s.tiers.put(ctx, tierPartition, t.ID, expected, t)
}

func (s *Store) PutSubscription(ctx context.Context, sub subscription.Subscription) (int64, error) {
	expected := sub.Version
	sub.Version++
	return sub.Version, s.subscriptions.put(ctx, subscriptionPartition, sub.ID, expected, sub)
}

func (s *Store) Tiers(ctx context.Context) (all []subscription.Tier, err error) {
	err = s.tiers.list(ctx, "", func(_ string, row []byte) error {
		var t subscription.Tier
		all = append(all, t)
		return decode(row, &all[len(all)-1])
	})
	return all, err
}

func (s *Store) Subscriptions(ctx context.Context) (all []subscription.Subscription, err error) {
	err = s.subscriptions.list(ctx, "", func(_ string, row []byte) error {
		all = append(all, subscription.Subscription{})
		return decode(row, &all[len(all)-1])
	})
	return all, err
}

func (s *Store) PutKey(ctx context.Context, k subscription.KeyRecord) error {
	return s.keys.put(ctx, k.Hash, keyRow, 0, keyColumns{k.Subscription, k.Slot, k.Created})
}

func (s *Store) Keys(ctx context.Context, sub string) (all []subscription.KeyRecord, err error) {
	err = s.keys.list(ctx, "subscription eq '"+sub+"'", func(hash string, row []byte) error {
		var k keyColumns
		err := decode(row, &k)
		all = append(all, k.record(hash))
		return err
	})
	return all, err
}

func (s *Store) DeleteKey(ctx context.Context, hash string) error {
	_, err := s.keys.client.DeleteEntity(ctx, hash, keyRow, nil)
	return translate("delete a key", err)
}

// table is one table's client.
type table struct{ client *aztables.Client }

// get reads a row into value and returns its ETag.
func (t table) get(ctx context.Context, partition, row string, value any) (azcore.ETag, error) {
	found, err := t.client.GetEntity(ctx, partition, row, nil)
	if err != nil {
		return "", translate("read a row", err)
	}
	return found.ETag, decode(found.Value, value)
}

// put inserts a row where expected is 0, else replaces the one of that version.
func (t table) put(ctx context.Context, partition, row string, expected int64, value any) error {
	entity, err := encode(partition, row, value)
	if err != nil {
		return err
	}
	if expected == 0 {
		return t.insert(ctx, entity)
	}
	var before struct {
		Version int64 `json:"version"`
	}
	etag, err := t.get(ctx, partition, row, &before)
	if err != nil {
		return err
	}
	if before.Version != expected {
		return subscription.ErrConflict
	}
	_, err = t.client.UpdateEntity(ctx, entity, &aztables.UpdateEntityOptions{IfMatch: &etag, UpdateMode: aztables.UpdateModeReplace})
	return translate("replace a row", err)
}

func (t table) insert(ctx context.Context, entity []byte) error {
	_, err := t.client.AddEntity(ctx, entity, nil)
	if hasCode(err, aztables.TableNotFound) {
		if _, err := t.client.CreateTable(ctx, nil); err != nil && !hasCode(err, aztables.TableAlreadyExists) {
			return translate("make a table", err)
		}
		_, err = t.client.AddEntity(ctx, entity, nil)
	}
	return translate("insert a row", err)
}

// list calls each with the partition and the JSON of every row that a filter admits.
func (t table) list(ctx context.Context, filter string, each func(partition string, row []byte) error) error {
	options := &aztables.ListEntitiesOptions{}
	if filter != "" {
		options.Filter = &filter
	}
	for pager := t.client.NewListEntitiesPager(options); pager.More(); {
		page, err := pager.NextPage(ctx)
		if hasCode(err, aztables.TableNotFound) {
			return nil
		}
		if err != nil {
			return translate("list rows", err)
		}
		for _, row := range page.Entities {
			var key struct{ PartitionKey string }
			if err := errors.Join(json.Unmarshal(row, &key), each(key.PartitionKey, row)); err != nil {
				return err
			}
		}
	}
	return nil
}

func hasCode(err error, code aztables.TableErrorCode) bool {
	failed, ok := errors.AsType[*azcore.ResponseError](err)
	return ok && failed.ErrorCode == string(code)
}

// translate gives the errors that a subscription.Store may return.
func translate(doing string, err error) error {
	failed, ok := errors.AsType[*azcore.ResponseError](err)
	switch {
	case err == nil:
		return nil
	case ok && failed.StatusCode == http.StatusNotFound:
		return subscription.ErrNotFound
	case ok && failed.StatusCode == http.StatusPreconditionFailed:
		return subscription.ErrConflict
	case ok && failed.StatusCode == http.StatusConflict:
		return subscription.ErrExists
	case ok: // the SDK's text holds the whole answer and the row's address, which is a key's hash
		return fmt.Errorf("%s: table storage answered %d %s", doing, failed.StatusCode, failed.ErrorCode)
	}
	return fmt.Errorf("%s: %w", doing, redact(err))
}
