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

// readBody reads a request's body, which must have one of the media types. It rejects
// JSON with a repeated field, which a merge patch would otherwise let pass.
func (c *call) readBody(types ...string) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	for _, allowed := range types {
		if err == nil && kind == allowed {
			return c.readAll()
		}
	}
	return nil, &Problem{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Detail: "Send the body as Content-Type: " + strings.Join(types, " or ") + "."}
}

// readAll reads a request's body of any media type.
func (c *call) readAll() ([]byte, error) {
	text, err := io.ReadAll(c.Body)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &Problem{Status: http.StatusRequestEntityTooLarge, Code: "request_too_large", Detail: fmt.Sprintf("The body is larger than %d bytes.", tooLarge.Limit)}
	}
	if err != nil {
		return nil, badRequest("The body ended early: send all of it.")
	}
	if twice, ok := errors.AsType[*subscription.FieldError](subscription.CheckJSON(text)); ok {
		return nil, twice
	}
	return text, nil
}

// Media types of request bodies.
const (
	typeJSON  = "application/json"
	typeMerge = "application/merge-patch+json"
)

// decodeBody decodes a JSON body into a value and rejects unknown fields. If optional,
// the body may be absent.
func (c *call) decodeBody(into any, optional bool) error {
	if optional && c.ContentLength == 0 {
		return nil
	}
	text, err := c.readBody(typeJSON)
	if err != nil {
		return err
	}
	return decode(text, into)
}

// decode decodes JSON and rejects unknown fields. Its error is a *subscription.FieldError or a
// *Problem.
func decode(text []byte, into any) error {
	err := subscription.Decode(text, into)
	if _, ofField := errors.AsType[*subscription.FieldError](err); err != nil && !ofField {
		return badRequest("The body " + err.Error() + ".")
	}
	return err
}

// applyMergePatch applies an RFC 7396 merge patch to a document.
func applyMergePatch(document, patch []byte) ([]byte, error) {
	merged, err := jsonpatch.MergePatch(document, patch)
	if err != nil {
		return nil, badRequest("The body is not a JSON object.")
	}
	return merged, nil
}

// errStale means that a change was based on an older version.
var errStale = errors.New("was changed meanwhile: read it again and base the change on the current version")

// formatETag returns a version as an ETag.
func formatETag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// A precondition holds a request's If-Match and If-None-Match.
type precondition struct {
	ifMatch      string // empty: no condition
	mustNotExist bool   // If-None-Match: *
}

// precondition reads the request's precondition.
func (c *call) precondition() (precondition, error) {
	p := precondition{ifMatch: strings.TrimSpace(c.Header.Get("If-Match"))}
	switch none := strings.TrimSpace(c.Header.Get("If-None-Match")); none {
	case "":
	case "*":
		p.mustNotExist = true
	default:
		return p, badRequest("If-None-Match accepts * only, to create something.")
	}
	return p, nil
}

// check returns an error unless the stored version, 0 if nothing is stored, meets the
// precondition. kind and id name the target in the error.
func (p precondition) check(kind, id string, version int64) error {
	switch {
	case p.mustNotExist && version != 0:
		return fmt.Errorf("%s %q %w: change it, or choose another id", kind, id, subscription.ErrExists)
	case p.ifMatch == "" || p.ifMatch == "*" && version != 0:
		return nil
	case version == 0:
		return &Problem{Status: http.StatusPreconditionFailed, Code: CodeStale, Detail: fmt.Sprintf("There is no %s %q. Leave out If-Match to create it.", kind, id)}
	case p.ifMatch != formatETag(version):
		return fmt.Errorf("%s %q %w", kind, id, errStale)
	}
	return nil
}

// checkReplace is check for a change that replaces a whole value. It requires If-Match if the
// value exists, so that operators don't undo others' changes by accident.
func (p precondition) checkReplace(kind, id string, version int64) error {
	if version != 0 && p.ifMatch == "" && !p.mustNotExist {
		return &Problem{Status: http.StatusPreconditionRequired, Code: "precondition_required",
			Detail: fmt.Sprintf("There is a %s %q already. Send its ETag in If-Match to replace it, or PATCH only what should change.", kind, id)}
	}
	return p.check(kind, id, version)
}
