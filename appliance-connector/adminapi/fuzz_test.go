package adminapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/sallyport/sallyport"
)

// Whatever is sent, the answer is as it is described and no failure of ours; and what is taken is as it is described.
func FuzzBody(f *testing.F) {
	w := newWorld(f)
	all := samples()
	var operations []described
	for _, d := range walk(f) {
		if d.RequestBody != nil && d.OperationID != "tryDomain" { // that one asks the address it is given
			operations = append(operations, d)
			f.Add(uint8(len(operations)-1), all[d.OperationID](w).body)
		}
	}
	for _, body := range []string{`{}`, `[]`, `null`, `{"name":"a","name":"b"}`, `{"NAME":"a","note":"","licensed":true,"remoteAccess":false}`,
		`{"allowed":["otp"],"numberMatching":false,"remember":{"allowed":false,"hours":1e3}}`, `{"remember":{"allowed":true},"remember":{"hours":3}}`, `{"overlapHours":9e99}`,
		`{"nickname":"\ud800","clients":["::/0"]}`, "{\"name\":\"\x00\"}", `{"rules":[{"domain":"a","object":{"kind":"ou","dn":"=,"},"policy":"default"}]}`, `1e999`} {
		for n := range operations {
			f.Add(uint8(n), body)
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, body string) {
		w.t = t
		d := operations[int(n)%len(operations)]
		s := all[d.OperationID](w)
		a := w.ask(d.method, s.path, bearer("super", sallyport.TokenWrites), body, append(s.headers(), "Content-Type", "application/json")...)
		d.holds(t, a)
		if a.StatusCode >= http.StatusInternalServerError {
			t.Errorf("%s: %d %s", d.OperationID, a.StatusCode, a.body)
		}
		if a.StatusCode >= http.StatusBadRequest {
			return
		}
		var value any
		if err := json.NewDecoder(bytes.NewReader([]byte(body))).Decode(&value); err != nil {
			t.Fatalf("%s took what is no JSON: %v", d.OperationID, err)
		}
		schema := d.RequestBody.Value.Content.Get("application/json").Schema.Value
		if err := schema.VisitJSON(value, openapi3.EnableJSONSchema2020()); err != nil {
			t.Errorf("%s took what is not described: %v", d.OperationID, err)
		}
		if !slices.Contains([]int{200, 201, 202, 204}, a.StatusCode) {
			t.Errorf("%s: %d", d.OperationID, a.StatusCode)
		}
	})
}

// A body's depth is found without reading it: as deep as encoding/json finds it, or refused before.
func FuzzDepth(f *testing.F) {
	for _, seed := range []string{`{}`, `[[[[]]]]`, `{"a":"[[[[[[[[[[[[[[[[[["}`, `"\"[[[["`, `]]]][`, `{"a":"\\"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var v any
		if json.Unmarshal(body, &v) == nil && deep(body) != (depth(v) > maxDepth) {
			t.Errorf("%q: %v, but it is %d deep", body, deep(body), depth(v))
		}
	})
}

func depth(v any) (d int) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			d = max(d, depth(e))
		}
		return d + 1
	case map[string]any:
		for _, e := range v {
			d = max(d, depth(e))
		}
		return d + 1
	}
	return 0
}
