package insights

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// An Item is one valid piece of telemetry: a metric, a request, a dependency or an event.
type Item struct {
	Kind       string // Metric, Request, RemoteDependency or Event
	At         time.Time
	SampleRate float64 // percent
	Key        string  // the instrumentation key
	Tags       map[string]string
	Properties map[string]string

	Metric     *Metric
	Request    *Request
	Dependency *Dependency
	Event      *Event
}

// A Metric is an item's data point. The service stores only the first of an item, so there
// must be exactly one.
type Metric struct {
	Namespace string  `json:"ns"`
	Name      string  `json:"name"`
	Kind      string  `json:"kind"`
	Value     float64 `json:"value"`
	Count     int     `json:"count"`
	Min       float64 `json:"min"`
	Max       float64 `json:"max"`
	StdDev    float64 `json:"stdDev"`
}

// A Request is a call that the application answered.
type Request struct {
	ID           string             `json:"id"`
	Source       string             `json:"source"`
	Name         string             `json:"name"`
	Duration     string             `json:"duration"`
	ResponseCode string             `json:"responseCode"`
	Success      bool               `json:"success"`
	URL          string             `json:"url"`
	Measurements map[string]float64 `json:"measurements"`
}

// A Dependency is a call that the application made.
type Dependency struct {
	ID           string             `json:"id"`
	Name         string             `json:"name"`
	ResultCode   string             `json:"resultCode"`
	Duration     string             `json:"duration"`
	Success      bool               `json:"success"`
	Data         string             `json:"data"`
	Target       string             `json:"target"`
	Type         string             `json:"type"`
	Measurements map[string]float64 `json:"measurements"`
}

// An Event is something that happened outside of a call.
type Event struct {
	Name         string             `json:"name"`
	Measurements map[string]float64 `json:"measurements"`
}

type envelope struct {
	Ver        int               `json:"ver"`
	Name       string            `json:"name"`
	Time       string            `json:"time"`
	SampleRate float64           `json:"sampleRate"`
	Seq        string            `json:"seq"`
	IKey       string            `json:"iKey"`
	Tags       map[string]string `json:"tags"`
	Data       struct {
		BaseType string          `json:"baseType"`
		BaseData json.RawMessage `json:"baseData"`
	} `json:"data"`
}

// base holds the fields that the base data of all kinds have.
type base struct {
	Ver        int               `json:"ver"`
	Properties map[string]string `json:"properties"`
}

var (
	envelopeName = regexp.MustCompile(`^Microsoft\.ApplicationInsights\.(?:[0-9a-f]{32}\.)?(Metric|Request|RemoteDependency|Event)$`)
	keyForm      = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	duration     = regexp.MustCompile(`^\d{1,3}\.([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{7}$`)
	traceID      = regexp.MustCompile(`^[0-9a-f]{32}$`)
	spanID       = regexp.MustCompile(`^[0-9a-f]{16}$`)
)

// Read checks one item. Its error names the first field that breaks the schema.
func Read(line []byte) (Item, error) {
	var e envelope
	if len(line) > maxItem {
		return Item{}, fmt.Errorf("the item has %d bytes, more than %d", len(line), maxItem)
	}
	if err := strict(line, &e); err != nil {
		return Item{}, fmt.Errorf("envelope: %w", err)
	}
	at, err := time.Parse("2006-01-02T15:04:05.999999999Z", e.Time)
	name := envelopeName.FindStringSubmatch(e.Name)
	switch {
	case e.Ver != 1:
		return Item{}, fmt.Errorf("ver is %d, not 1", e.Ver)
	case name == nil:
		return Item{}, fmt.Errorf("name is %q", e.Name)
	case err != nil:
		return Item{}, fmt.Errorf("time is %q, not UTC in ISO 8601", e.Time)
	case e.SampleRate <= 0 || e.SampleRate > 100:
		return Item{}, fmt.Errorf("sampleRate is %v, not above 0 and up to 100", e.SampleRate)
	case !keyForm.MatchString(e.IKey):
		return Item{}, fmt.Errorf("iKey is %q", e.IKey)
	case e.Data.BaseType != name[1]+"Data":
		return Item{}, fmt.Errorf("data.baseType is %q in an envelope of a %s", e.Data.BaseType, name[1])
	}
	for tag, value := range e.Tags {
		if !strings.HasPrefix(tag, "ai.") || len(value) > 1024 {
			return Item{}, fmt.Errorf("tag %q is %q", tag, value)
		}
	}
	item := Item{Kind: name[1], At: at, SampleRate: e.SampleRate, Key: e.IKey, Tags: e.Tags}
	return item, item.read(e.Data.BaseData)
}

// strict reads JSON and refuses unknown fields.
func strict(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("there is text after the object")
	}
	return nil
}

// read checks the base data of the item's kind.
func (i *Item) read(text []byte) error {
	var common base
	var err error
	switch i.Kind {
	case "Metric":
		var data struct {
			base
			Metrics []Metric `json:"metrics"`
		}
		if err = strict(text, &data); err == nil {
			common = data.base
			i.Metric, err = checkPoint(data.Metrics)
		}
		if err == nil && len(common.Properties) > 10 {
			err = fmt.Errorf("properties are %d, more than a metric's 10 dimensions", len(common.Properties))
		}
	case "Request":
		var data struct {
			base
			Request
		}
		if err = strict(text, &data); err == nil {
			common, i.Request = data.base, &data.Request
			err = i.span(data.ID, data.Name, data.Duration)
		}
	case "Event":
		var data struct {
			base
			Event
		}
		if err = strict(text, &data); err == nil {
			common, i.Event = data.base, &data.Event
		}
		if err == nil && (data.Name == "" || len(data.Name) > 512) {
			err = fmt.Errorf("name is %q", data.Name)
		}
	default:
		var data struct {
			base
			Dependency
		}
		if err = strict(text, &data); err == nil {
			common, i.Dependency = data.base, &data.Dependency
			err = i.span(data.ID, data.Name, data.Duration)
		}
	}
	if err == nil && common.Ver != 2 {
		err = fmt.Errorf("ver is %d, not 2", common.Ver)
	}
	for name, value := range common.Properties {
		if name == "" || len(name) > 150 || len(value) > 8192 {
			err = fmt.Errorf("property %q is too long", name)
		}
	}
	if err != nil {
		return fmt.Errorf("%sData: %w", i.Kind, err)
	}
	i.Properties = common.Properties
	return nil
}

// checkPoint checks that there is exactly one data point, and returns it.
func checkPoint(points []Metric) (*Metric, error) {
	if len(points) != 1 {
		return nil, fmt.Errorf("metrics has %d data points, not 1", len(points))
	}
	m := points[0]
	least, most := m.Min*float64(m.Count), m.Max*float64(m.Count)
	slack := 1e-9 * max(1, -least, most)
	switch {
	case m.Name == "" || len(m.Name) > 1024:
		return nil, fmt.Errorf("name is %q", m.Name)
	case m.Namespace == "" || len(m.Namespace) > 256:
		return nil, fmt.Errorf("ns of %q is %q", m.Name, m.Namespace)
	case m.Kind != "Measurement" && m.Kind != "Aggregation":
		return nil, fmt.Errorf("kind of %q is %q", m.Name, m.Kind)
	case m.Kind == "Aggregation" && (m.Count < 1 || m.Value < least-slack || m.Value > most+slack):
		return nil, fmt.Errorf("%q: value %v can't be the sum of %d between %v and %v", m.Name, m.Value, m.Count, m.Min, m.Max)
	}
	return &m, nil
}

// span checks the fields that requests and dependencies share.
func (i *Item) span(id, name, took string) error {
	switch {
	case name == "" || len(name) > 1024:
		return fmt.Errorf("name is %q", name)
	case !duration.MatchString(took):
		return fmt.Errorf("duration is %q, not d.hh:mm:ss.fffffff", took)
	case !spanID.MatchString(id):
		return fmt.Errorf("id is %q, not a span's 16 digits", id)
	case !traceID.MatchString(i.Tags["ai.operation.id"]):
		return fmt.Errorf("tag ai.operation.id is %q, not a trace's 32 digits", i.Tags["ai.operation.id"])
	}
	if parent, ok := i.Tags["ai.operation.parentId"]; ok && !spanID.MatchString(parent) {
		return fmt.Errorf("tag ai.operation.parentId is %q, not a span's 16 digits", parent)
	}
	return nil
}
