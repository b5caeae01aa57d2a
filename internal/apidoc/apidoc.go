// Package apidoc reads an OpenAPI description for people: what a page needs to show of every operation, with
// references followed and nested values written as one list. It draws nothing.
package apidoc

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Reference is a description.
type Reference struct {
	Title, Text string
	// Base begins every path.
	Base   string
	Groups []Group
}

// Group is the operations of one tag, in the order of their paths.
type Group struct {
	Name, Text string
	Operations []Operation
}

// Operation is one method of one path.
type Operation struct {
	ID, Method, Path string
	Title, Text      string
	// Permission is the operation's x-permission; empty: anybody may.
	Permission string
	Parameters []Field
	Body       []Field
	Answers    []Answer
}

// Answer is one status and what it means.
type Answer struct {
	Status, Text string
	// Fields are those of a success.
	Fields []Field
}

// Field is a parameter, or a value at its place in a body: "remember.hours", "clients[]".
type Field struct {
	Name, Type, Text string
	Required         bool
}

// maxDepth bounds how deep nested values are written.
const maxDepth = 6

// Read reads a description in YAML.
func Read(text []byte) (Reference, error) {
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return Reference{}, fmt.Errorf("read OpenAPI description: %w", err)
	}
	r := Reference{Title: doc.Info.Title, Text: strings.TrimSpace(doc.Info.Description)}
	if len(doc.Servers) > 0 {
		r.Base = doc.Servers[0].URL
	}
	for _, tag := range doc.Tags {
		r.Groups = append(r.Groups, Group{Name: tag.Name, Text: tag.Description})
	}
	paths := doc.Paths.Map()
	for _, path := range doc.Paths.InMatchingOrder() {
		for method, described := range paths[path].Operations() {
			i := slices.IndexFunc(r.Groups, func(g Group) bool { return slices.Contains(described.Tags, g.Name) })
			if i < 0 {
				return Reference{}, fmt.Errorf("read OpenAPI description: %s has no tag of the document", described.OperationID)
			}
			r.Groups[i].Operations = append(r.Groups[i].Operations, operation(paths[path], path, method, described))
		}
	}
	for _, g := range r.Groups {
		slices.SortFunc(g.Operations, func(a, b Operation) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(rank(a.Method), rank(b.Method)))
		})
	}
	return r, nil
}

// rank sorts reading before changing.
func rank(method string) int {
	return slices.Index([]string{"GET", "POST", "PUT", "DELETE"}, method)
}

func operation(item *openapi3.PathItem, path, method string, described *openapi3.Operation) Operation {
	op := Operation{ID: described.OperationID, Method: method, Path: path, Title: described.Summary, Text: strings.TrimSpace(described.Description)}
	op.Permission, _ = described.Extensions["x-permission"].(string)
	for _, p := range slices.Concat(item.Parameters, described.Parameters) {
		f := Field{Name: p.Value.Name, Text: p.Value.Description, Required: p.Value.Required}
		if s := p.Value.Schema; s != nil {
			f.Type, f.Text = kind(s.Value), cmp.Or(f.Text, s.Value.Description)
		}
		op.Parameters = append(op.Parameters, f)
	}
	if described.RequestBody != nil {
		op.Body = content(described.RequestBody.Value.Content)
	}
	for status, answer := range described.Responses.Map() {
		a := Answer{Status: status}
		if answer.Value.Description != nil {
			a.Text = *answer.Value.Description
		}
		if strings.HasPrefix(status, "2") {
			a.Fields = content(answer.Value.Content)
		}
		op.Answers = append(op.Answers, a)
	}
	slices.SortFunc(op.Answers, func(a, b Answer) int { return cmp.Compare(a.Status, b.Status) })
	return op
}

// content lists the fields of a body in JSON.
func content(c openapi3.Content) []Field {
	if media := c.Get("application/json"); media != nil && media.Schema != nil {
		return fields("", media.Schema.Value, 0)
	}
	return nil
}

func fields(prefix string, s *openapi3.Schema, depth int) (out []Field) {
	if depth > maxDepth {
		return nil
	}
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(position(s.Required, a)-position(s.Required, b), cmp.Compare(a, b))
	})
	for _, name := range names {
		of := s.Properties[name].Value
		place := prefix + name
		out = append(out, Field{Name: place, Type: kind(of), Text: of.Description, Required: slices.Contains(s.Required, name)})
		if of.Type.Is("array") && of.Items != nil {
			place, of = place+"[]", of.Items.Value
		}
		out = append(out, fields(place+".", of, depth+1)...)
	}
	return out
}

// position puts what is required first, as the description lists it.
func position(required []string, name string) int {
	if i := slices.Index(required, name); i >= 0 {
		return i
	}
	return len(required)
}

// kind says what values a schema takes.
func kind(s *openapi3.Schema) string {
	switch {
	case s.Type == nil:
		return "any JSON"
	case len(s.Enum) > 0:
		var all []string
		for _, v := range s.Enum {
			all = append(all, fmt.Sprint(v))
		}
		return strings.Join(all, ", ")
	case s.Type.Is("array") && s.Items != nil:
		return bounded("list of "+kind(s.Items.Value), float(s.MinItems), float(pointed(s.MaxItems)))
	case s.Type.Is("string") && s.Format == "date-time":
		return "time"
	case s.Type.Is("string"):
		return bounded("text", float(s.MinLength), float(pointed(s.MaxLength)))
	case s.Type.Is("integer"):
		return bounded("number", s.Min, s.Max)
	case s.Type.Is("boolean"):
		return "true or false"
	}
	return strings.Join(s.Type.Slice(), " or ")
}

// float is a bound; none for 0.
func float(n uint64) *float64 {
	if n == 0 {
		return nil
	}
	f := float64(n)
	return &f
}

func pointed(n *uint64) uint64 {
	if n == nil {
		return 0
	}
	return *n
}

func bounded(what string, least, most *float64) string {
	switch {
	case least != nil && most != nil:
		return fmt.Sprintf("%s, %.0f to %.0f", what, *least, *most)
	case most != nil:
		return fmt.Sprintf("%s, at most %.0f", what, *most)
	case least != nil && *least > 0:
		return fmt.Sprintf("%s, at least %.0f", what, *least)
	}
	return what
}
