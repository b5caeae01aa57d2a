package apidoc

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/api/openapi"
)

const small = `
openapi: 3.1.0
info: {title: Small, version: "1", description: Says little.}
servers: [{url: /x}]
tags: [{name: Things, description: What there is}]
paths:
  /things/{thing}:
    parameters: [{name: thing, in: path, required: true, schema: {type: string, description: Its id}}]
    put:
      operationId: changeThing
      tags: [Things]
      summary: Change a thing
      x-permission: PutThing
      requestBody:
        content:
          application/json:
            schema:
              type: object
              required: [name]
              properties:
                colours: {type: array, maxItems: 3, items: {type: object, required: [hue], properties: {hue: {type: integer, minimum: 0, maximum: 360}}}}
                name: {type: string, minLength: 1, maxLength: 64}
                size: {type: string, enum: [small, large], description: How large}
      responses:
        "204": {description: Changed}
        "404": {description: There is none}
    get: {operationId: getThing, tags: [Things], summary: Get a thing, responses: {"200": {description: The thing}}}
`

func TestADescriptionIsReadForPeople(t *testing.T) {
	t.Parallel()
	r, err := Read([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	ops := r.Groups[0].Operations
	if r.Title != "Small" || r.Base != "/x" || len(ops) != 2 || ops[0].ID != "getThing" || ops[1].Method != "PUT" || ops[1].Permission != "PutThing" {
		t.Fatalf("%+v", r)
	}
	want := []Field{
		{Name: "name", Type: "text, 1 to 64", Required: true},
		{Name: "colours", Type: "list of object, at most 3"},
		{Name: "colours[].hue", Type: "number, 0 to 360", Required: true},
		{Name: "size", Type: "small, large", Text: "How large"},
	}
	if !slices.Equal(ops[1].Body, want) {
		t.Errorf("%+v", ops[1].Body)
	}
	if p := ops[1].Parameters; len(p) != 1 || p[0].Text != "Its id" || !p[0].Required {
		t.Errorf("%+v", p)
	}
	if a := ops[1].Answers; len(a) != 2 || a[0].Status != "204" || a[1].Text != "There is none" {
		t.Errorf("%+v", a)
	}
	if _, err := Read([]byte(strings.Replace(small, "tags: [Things]", "tags: [Others]", 1))); err == nil {
		t.Error("an operation without a group is lost")
	}
	if _, err := Read([]byte("openapi: [")); err == nil {
		t.Error("what is no YAML is read")
	}
}

func TestTheAdministrativeAPIIsReadable(t *testing.T) {
	t.Parallel()
	r, err := Read(openapi.Admin())
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range r.Groups {
		if len(g.Operations) == 0 {
			t.Errorf("no operation is of %s", g.Name)
		}
		for _, op := range g.Operations {
			if op.Title == "" || len(op.Answers) < 2 || strings.HasSuffix(op.Title, ".") {
				t.Errorf("%+v", op)
			}
		}
	}
}
