package manage

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"tollgate/handler/subscription"
)

// body reads a request's body, which must be of one of the media types. JSON in
// which a field stands twice is refused, whatever is done with it then.
func (c *call) body(types ...string) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	for _, allowed := range types {
		if err == nil && kind == allowed {
			return c.read()
		}
	}
	return nil, &Problem{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Detail: "Send the body as Content-Type: " + strings.Join(types, " or ") + "."}
}

func (c *call) read() ([]byte, error) {
	text, err := io.ReadAll(c.Body)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &Problem{Status: http.StatusRequestEntityTooLarge, Code: "request_too_large", Detail: fmt.Sprintf("The body is larger than %d bytes.", tooLarge.Limit)}
	}
	if err != nil {
		return nil, badRequest("The body ended early.")
	}
	if twice, ok := errors.AsType[*subscription.FieldError](subscription.CheckJSON(text)); ok {
		return nil, twice
	}
	return text, nil
}

const (
	typeJSON  = "application/json"
	typeMerge = "application/merge-patch+json"
)

// decode reads a JSON body, which may be absent where optional, into a value.
// Fields that don't exist are refused.
func (c *call) decode(into any, optional bool) error {
	if optional && c.ContentLength == 0 {
		return nil
	}
	text, err := c.body(typeJSON)
	if err != nil {
		return err
	}
	return decode(text, into)
}

// decode names the field that is wrong, or says what is wrong with the body.
func decode(text []byte, into any) error {
	err := subscription.Decode(text, into)
	if _, field := errors.AsType[*subscription.FieldError](err); err != nil && !field {
		return badRequest("The body " + err.Error() + ".")
	}
	return err
}

// merge applies an RFC 7396 merge patch to a document.
func merge(document, patch []byte) ([]byte, error) {
	merged, err := jsonpatch.MergePatch(document, patch)
	if err != nil {
		return nil, badRequest("The body is not a JSON object.")
	}
	return merged, nil
}

// errStale says that a change was meant for an older version.
var errStale = errors.New("was changed meanwhile: read it again, and make the change to what it is now")

// etag is a version as HTTP names it.
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// precondition is what a request's If-Match and If-None-Match ask of a version.
type precondition struct {
	match string // "": none
	fresh bool   // it must not exist
}

func (c *call) precondition() (precondition, error) {
	p := precondition{match: strings.TrimSpace(c.Header.Get("If-Match"))}
	switch none := strings.TrimSpace(c.Header.Get("If-None-Match")); none {
	case "":
	case "*":
		p.fresh = true
	default:
		return p, badRequest("If-None-Match takes * only, when something is made.")
	}
	return p, nil
}

// check says whether a version, 0 where there is none, is the one that the
// change is for. kind and id name it in the error.
func (p precondition) check(kind, id string, version int64) error {
	switch {
	case p.fresh && version != 0:
		return fmt.Errorf("%s %q %w: change it, or choose another id", kind, id, subscription.ErrExists)
	case p.match == "" || p.match == "*" && version != 0:
		return nil
	case version == 0:
		return &Problem{Status: http.StatusPreconditionFailed, Code: CodeStale, Detail: fmt.Sprintf("There is no %s %q. Leave If-Match out to make it.", kind, id)}
	case p.match != etag(version):
		return fmt.Errorf("%s %q %w", kind, id, errStale)
	}
	return nil
}

// required is check for a change that replaces everything: what is there must
// be named by its version, or another operator's change could be undone unseen.
func (p precondition) required(kind, id string, version int64) error {
	if version != 0 && p.match == "" && !p.fresh {
		return &Problem{Status: http.StatusPreconditionRequired, Code: "precondition_required",
			Detail: fmt.Sprintf("There is a %s %q already. Send its ETag in If-Match to replace it, or PATCH what should change.", kind, id)}
	}
	return p.check(kind, id, version)
}
