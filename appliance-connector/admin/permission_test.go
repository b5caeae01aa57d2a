package admin

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
)

// Every exported method of Service stands in the table, every row of the table is a method, and each
// method that takes an actor begins by asking the table under its own name. Read from the source, so that a
// method cannot be exported, or lose its question, without this test failing.
func TestEveryOperationHasItsRowAndAsksForIt(t *testing.T) {
	found := map[Operation]bool{}
	for _, fn := range serviceMethods(t) {
		if !fn.Name.IsExported() {
			continue
		}
		op := Operation(fn.Name.Name)
		found[op] = true
		p, known := permissions[op]
		switch {
		case !known:
			t.Errorf("%s has no row in permissions", op)
		case takesActor(fn) == p.anybody:
			t.Errorf("%s: it takes an actor: %v; the row says anybody: %v", op, takesActor(fn), p.anybody)
		case !p.anybody && firstQuestion(fn) != string(op):
			t.Errorf("%s does not begin with s.as(actor, %q) but with %q", op, op, firstQuestion(fn))
		case !p.anybody && len(p.roles) == 0:
			t.Errorf("%s: no role may do it", op)
		}
	}
	for op := range permissions {
		if !found[op] {
			t.Errorf("the table has %s, which is no method of Service", op)
		}
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	limited := sallyport.Scope{OUs: []string{"OU=Ward,DC=hospital,DC=test"}}
	for op, p := range permissions {
		for _, role := range append(slices.Clone(everyone), "", "root") {
			for _, kind := range []sallyport.ActorKind{sallyport.ActorAdministrator, sallyport.ActorToken, sallyport.ActorLocal, sallyport.ActorUser, sallyport.ActorSystem, ""} {
				for _, scope := range []sallyport.Scope{{}, limited} {
					a := sallyport.Actor{Kind: kind, Role: role, Scope: scope}
					want := p.anybody || slices.Contains(p.roles, role) && (p.limited || scope.Unlimited()) &&
						(kind == sallyport.ActorAdministrator || kind == sallyport.ActorLocal || kind == sallyport.ActorToken && !p.person)
					err := May(a, op)
					if (err == nil) != want || err != nil && sallyport.ErrorCode(err) != sallyport.CodeDenied {
						t.Errorf("%s by %s %q, limited %v: %v, want %v", op, kind, role, !scope.Unlimited(), err, want)
					}
				}
			}
		}
	}
	if err := May(sallyport.Actor{Kind: sallyport.ActorAdministrator, Role: sallyport.RoleSuper}, "NoSuchThing"); err == nil {
		t.Error("an operation without a row may be done")
	}
	for op, p := range permissions {
		reader := sallyport.Actor{Kind: sallyport.ActorToken, Role: sallyport.RoleSuper, ReadOnly: true}
		if err := May(reader, op); !p.anybody && (err == nil) != (reads[op] && !p.person) || reads[op] && changes(op) {
			t.Errorf("%s by a token that may only read: %v", op, err)
		}
		if slices.Contains(p.roles, sallyport.RoleAuditor) && changes(op) {
			t.Errorf("an auditor may %s", op)
		}
	}
}

// changes reports whether an operation changes something that is not the actor's own.
func changes(op Operation) bool {
	if strings.Contains(string(op), "Own") {
		return false
	}
	for _, verb := range []string{"Put", "Set", "Delete", "Reset", "Issue", "Assign", "End", "Start", "Require", "Import", "Add", "Remove", "Associate", "Rotate"} {
		if strings.HasPrefix(string(op), verb) {
			return true
		}
	}
	return false
}

func TestReadingOperationsAreThoseOfTheTable(t *testing.T) {
	for op := range reads {
		if p, known := permissions[op]; !known || p.anybody || p.person {
			t.Errorf("%s is no operation that a token may do", op)
		}
	}
	for _, op := range []Operation{"PutUserPolicy", "NoSuchThing", "ByToken"} {
		if Reads(op) {
			t.Errorf("%s counts as reading", op)
		}
	}
	if got := Roles("PolicyRules"); !slices.Equal(got, []sallyport.Role{sallyport.RoleSuper, sallyport.RoleAdmin, sallyport.RoleAuditor}) || Roles("NoSuchThing") != nil {
		t.Errorf("roles %v", got)
	}
}

func TestScope(t *testing.T) {
	user := sallyport.User{Policy: "nurses", DN: "CN=Doe\\, Jane,OU=Ward 3,OU=Ward,DC=hospital,DC=test"}
	for _, c := range []struct {
		scope sallyport.Scope
		in    bool
	}{
		{sallyport.Scope{}, true},
		{sallyport.Scope{Policies: []sallyport.UserPolicyID{"doctors", "nurses"}}, true},
		{sallyport.Scope{Policies: []sallyport.UserPolicyID{"doctors"}}, false},
		{sallyport.Scope{OUs: []string{"ou=ward,dc=hospital,dc=TEST"}}, true},
		{sallyport.Scope{OUs: []string{user.DN}}, true},
		{sallyport.Scope{OUs: []string{"OU=Office,DC=hospital,DC=test"}}, false},
		{sallyport.Scope{OUs: []string{"DC=spital,DC=test"}}, false},
		{sallyport.Scope{OUs: []string{"rd,DC=hospital,DC=test"}}, false},
		{sallyport.Scope{OUs: []string{" Jane,OU=Ward 3,OU=Ward,DC=hospital,DC=test"}}, false},
		{sallyport.Scope{OUs: []string{""}}, false},
		{sallyport.Scope{Policies: []sallyport.UserPolicyID{"doctors"}, OUs: []string{"OU=Ward,DC=hospital,DC=test"}}, true},
	} {
		err := inScope(sallyport.Actor{Scope: c.scope}, user)
		if (err == nil) != c.in || err != nil && sallyport.ErrorCode(err) != sallyport.CodeNotFound {
			t.Errorf("%+v: %v, want in scope: %v", c.scope, err, c.in)
		}
	}
}

func serviceMethods(t *testing.T) (out []*ast.FuncDecl) {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil && receiver(fn) == "Service" {
				out = append(out, fn)
			}
		}
	}
	if len(out) < 3 {
		t.Fatalf("only %d methods were read", len(out))
	}
	return out
}

func receiver(fn *ast.FuncDecl) string {
	typ := fn.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if id, ok := typ.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

func takesActor(fn *ast.FuncDecl) bool {
	return slices.ContainsFunc(fn.Type.Params.List, func(f *ast.Field) bool {
		sel, ok := f.Type.(*ast.SelectorExpr)
		return ok && sel.Sel.Name == "Actor"
	})
}

// firstQuestion is the operation in the call s.as(actor, "…") of a method's first statement.
func firstQuestion(fn *ast.FuncDecl) (op string) {
	if len(fn.Body.List) == 0 {
		return ""
	}
	first := fn.Body.List[0]
	if cond, ok := first.(*ast.IfStmt); ok {
		first = cond.Init
	}
	assign, ok := first.(*ast.AssignStmt)
	if !ok || len(assign.Rhs) != 1 {
		return ""
	}
	call, ok := assign.Rhs[0].(*ast.CallExpr)
	if !ok || len(call.Args) != 2 {
		return ""
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if lit, isLit := call.Args[1].(*ast.BasicLit); ok && isLit && sel.Sel.Name == "as" {
		op, _ = strconv.Unquote(lit.Value)
	}
	return op
}
