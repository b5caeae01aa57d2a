package adminapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/admin"
)

const (
	maxBody  = 1 << 20 // octets
	maxDepth = 16      // of a body's arrays and objects
)

func wrong(detail string) error {
	return &problem{status: http.StatusBadRequest, code: sallyport.CodeInvalid, detail: detail}
}

func wrongParameter(name, words string) error {
	return &problem{status: http.StatusBadRequest, code: sallyport.CodeInvalid, detail: "Please look at the parameters named.",
		fields: admin.FieldErrors{name: words}}
}

// unfit is about a field of the body whose value cannot be.
func unfit(field, words string) error {
	return &problem{status: http.StatusUnprocessableEntity, code: sallyport.CodeInvalid, detail: "Please look at the fields named.", fields: admin.FieldErrors{field: words}}
}

// readParameters takes path and query as they are described, each once, and nothing else.
func (c *call) readParameters() error {
	query, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return wrong("The query of the address is not well-formed.")
	}
	for name, list := range query {
		switch {
		case !slices.Contains(c.op.query, name):
			return wrongParameter(cut(name), "There is no such parameter.")
		case len(list) > 1:
			return wrongParameter(name, "Give it once.")
		}
	}
	for _, p := range c.op.params {
		text, given := query.Get(p.Name), query.Has(p.Name)
		if p.In == openapi3.ParameterInPath {
			if text, given = c.Param(p.Name), true; c.Request().URL.RawPath != "" { // then the router took that
				if text, err = url.PathUnescape(text); err != nil {
					return wrong("The address is not well-formed.")
				}
			}
		}
		if !given {
			if p.Required {
				return wrongParameter(p.Name, "Give it.")
			}
			continue
		}
		if words := misfit(p.Schema.Value, text); words != "" {
			return wrongParameter(p.Name, words)
		}
		c.values[p.Name] = text
	}
	return nil
}

// cut keeps what somebody sent short in an answer.
func cut(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// misfit says what is wrong with a parameter's text; empty: nothing.
func misfit(schema *openapi3.Schema, text string) string {
	var value any = text
	switch {
	case schema.Type.Is("integer"):
		n, err := strconv.ParseInt(text, 10, 53)
		if err != nil {
			return "Give a whole number."
		}
		value = float64(n)
	case schema.Type.Is("boolean"):
		if text != "true" && text != "false" {
			return "Give true or false."
		}
		value = text == "true"
	case schema.Format == "date-time":
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			return "Give a time as RFC 3339 writes it, such as 2026-03-04T09:30:00Z."
		}
		return ""
	}
	found := admin.FieldErrors{}
	collect(found, schema.VisitJSON(value, openapi3.MultiErrors()))
	return found["body"]
}

// readVersion takes the version of If-Match, where the description asks for it. What is no version of ours
// matches none (RFC 9110 section 13.1.1); "*" would save over what nobody looked at.
func (c *call) readVersion() error {
	if !c.op.ifMatch {
		return nil
	}
	tag := c.Request().Header.Get("If-Match")
	if tag == "" {
		return &problem{status: http.StatusPreconditionRequired, code: sallyport.CodeInvalid,
			detail: "Send If-Match with the ETag of what you looked at, so that nobody's change is lost."}
	}
	text, quoted := strings.CutPrefix(tag, `"`)
	text, closed := strings.CutSuffix(text, `"`)
	version, err := strconv.ParseInt(text, 10, 64)
	if err != nil || !quoted || !closed || version < 1 || etag(version) != tag {
		return &problem{status: http.StatusPreconditionFailed, code: sallyport.CodeConflict,
			detail: "If-Match is not the ETag of a version. Get it again, and send the ETag as it came."}
	}
	c.version = version
	return nil
}

// etag writes a version as a strong entity tag.
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// readBody takes a body as it is described, and none where none is.
func (c *call) readBody() error {
	r := c.Request()
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxBody))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return &problem{status: http.StatusRequestEntityTooLarge, code: sallyport.CodeInvalid, detail: "The body is longer than 1 MiB."}
	case err != nil:
		return wrong("The body did not arrive whole.")
	case c.op.body == nil && len(body) > 0:
		return wrong("This operation takes no body.")
	case c.op.body == nil:
		return nil
	}
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := parameters["charset"]; err != nil || kind != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return &problem{status: http.StatusUnsupportedMediaType, code: sallyport.CodeUnsupported, detail: "Send the body as application/json."}
	}
	value, err := readJSON(body)
	if err != nil {
		return err
	}
	found := admin.FieldErrors{}
	collect(found, c.op.body.VisitJSON(value, openapi3.MultiErrors()))
	if len(found) > 0 {
		return &problem{status: http.StatusUnprocessableEntity, code: sallyport.CodeInvalid, detail: "Please look at the fields named.", fields: found}
	}
	// Written anew, so that the handler reads what was looked at: a field that stands there twice counts once.
	if c.body, err = json.Marshal(value); err != nil {
		return fmt.Errorf("write body anew: %w", err)
	}
	return nil
}

// readJSON reads one value. Its errors show nothing of it: it may hold a secret.
func readJSON(body []byte) (value any, err error) {
	if deep(body) {
		return nil, wrong("The body's arrays and objects are nested too deep.")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	var bad *json.SyntaxError
	switch err := d.Decode(&value); {
	case errors.As(err, &bad):
		return nil, wrong(fmt.Sprintf("The body is not JSON; see octet %d.", bad.Offset))
	case err != nil:
		return nil, wrong("The body is not JSON.")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, wrong("There is something behind the body's JSON.")
	}
	return value, nil
}

// deep reports whether brackets outside of strings are nested deeper than maxDepth.
func deep(body []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch b := body[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{' || b == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return false
}

// collect says in words what a value has that its schema has not, by the field's place: "clients.0".
func collect(found admin.FieldErrors, err error) {
	var several openapi3.MultiError
	var one *openapi3.SchemaError
	switch {
	case err == nil:
	case errors.As(err, &several):
		for _, e := range several {
			collect(found, e)
		}
	case errors.As(err, &one):
		for _, field := range places(one) {
			if _, noted := found[cut(field)]; !noted {
				found[cut(field)] = fault(one)
			}
		}
	default:
		found["body"] = "It is not as described."
	}
}

// places are the fields that a complaint is about: that of the value, or those that there are not.
func places(e *openapi3.SchemaError) []string {
	at := e.JSONPointer()
	value, isObject := e.Value.(map[string]any)
	if unknown := e.SchemaField == "properties" || e.SchemaField == "additionalProperties"; unknown && isObject {
		var out []string
		for name := range value {
			if _, known := e.Schema.Properties[name]; !known {
				out = append(out, strings.Join(append(slices.Clone(at), name), "."))
			}
		}
		return out
	}
	if len(at) == 0 {
		return []string{"body"}
	}
	return []string{strings.Join(at, ".")}
}

// fault writes a schema's complaint for people. The value itself is not in it.
func fault(e *openapi3.SchemaError) string {
	s := e.Schema
	switch e.SchemaField {
	case "required":
		return "Give it."
	case "properties", "additionalProperties":
		return "There is no such field."
	case "type":
		return "Its type is " + strings.Join(s.Type.Slice(), " or ") + "."
	case "enum":
		var all []string
		for _, v := range s.Enum {
			all = append(all, fmt.Sprint(v))
		}
		return "Use one of " + strings.Join(all, ", ") + "."
	case "minLength", "maxLength":
		return bounds("characters", float64(s.MinLength), most(s.MaxLength))
	case "minItems", "maxItems":
		return bounds("entries", float64(s.MinItems), most(s.MaxItems))
	case "minimum", "maximum":
		least, largest := math.Inf(-1), math.Inf(1)
		if s.Min != nil {
			least = *s.Min
		}
		if s.Max != nil {
			largest = *s.Max
		}
		return bounds("", least, largest)
	case "minProperties":
		return "Give at least one of its fields."
	case "uniqueItems":
		return "Name each once."
	case "pattern", "format":
		return strings.TrimSpace("It is not written as it should be. " + s.Description)
	}
	return "It is not as described."
}

func most(n *uint64) float64 {
	if n == nil {
		return math.Inf(1)
	}
	return float64(*n)
}

func bounds(of string, least, largest float64) string {
	switch {
	case math.IsInf(largest, 1):
		return strings.TrimSpace(fmt.Sprintf("At least %.0f %s", least, of)) + "."
	case math.IsInf(least, -1):
		return strings.TrimSpace(fmt.Sprintf("At most %.0f %s", largest, of)) + "."
	}
	return strings.TrimSpace(fmt.Sprintf("%.0f to %.0f %s", least, largest, of)) + "."
}
