package export

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport"
)

// Whatever a login records is said in words, and no sentence is kept for what nobody records.
func TestEveryEventOfALoginHasItsSentence(t *testing.T) {
	recorded := map[string]bool{}
	for _, pattern := range []string{"../login/*.go", "../radius/tokencheck/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				for _, message := range messages(n) {
					recorded[message] = true
				}
				return true
			})
		}
	}
	if len(recorded) < 30 {
		t.Errorf("only %d messages are found", len(recorded))
	}
	for message := range recorded {
		if _, ok := timeline[message]; !ok {
			t.Errorf("%q has no sentence", message)
		}
	}
	for message := range timeline {
		if !recorded[message] {
			t.Errorf("%q is recorded by nobody", message)
		}
	}
}

// messages are the texts that a node gives to the timeline: e.log and e.tell, "msg" and "message" that are handed to them,
// and LoginEvent literals.
func messages(n ast.Node) (out []string) {
	text := func(e ast.Expr) {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if s, err := strconv.Unquote(l.Value); err == nil {
				out = append(out, s)
			}
		}
	}
	switch n := n.(type) {
	case *ast.CallExpr:
		f, ok := n.Fun.(*ast.SelectorExpr)
		if x, is := f, ok; is && (x.Sel.Name == "log" || x.Sel.Name == "tell") {
			for _, a := range n.Args[:min(3, len(n.Args))] {
				text(a)
			}
		}
	case *ast.KeyValueExpr:
		if k, ok := n.Key.(*ast.Ident); ok && k.Name == "Message" {
			text(n.Value)
		}
	case *ast.AssignStmt:
		for i, l := range n.Lhs {
			if id, ok := l.(*ast.Ident); ok && (id.Name == "msg" || id.Name == "message") && i < len(n.Rhs) {
				text(n.Rhs[i])
			}
		}
	}
	return out
}

func TestAnEventReadsAsASentence(t *testing.T) {
	for _, c := range []struct {
		event       sallyport.LoginEvent
		title, text string
	}{
		{sallyport.LoginEvent{Message: "credentials arrived", Detail: []byte(`{"integration":"vpn","door":"radius","via":""}`)}, "User name and password arrived.", "By: the gateway, by RADIUS."},
		{sallyport.LoginEvent{Message: "password refused", Detail: []byte(`{"why":"account locked"}`)}, "The directory did not take them.", "Account locked."},
		{sallyport.LoginEvent{Message: "password is right"}, "The directory found the password right.", ""},
		{sallyport.LoginEvent{Message: "notification not delivered", Detail: []byte(`{"why":"no_address"}`)}, "The notification could not be delivered; the app shows the sign-in when it is opened.",
			"The app has registered no address for notifications, or it was withdrawn: notifications may be switched off on the phone."},
		{sallyport.LoginEvent{Message: "device answered", Detail: []byte(`{"decision":"not_me"}`)}, "The phone answered.", "“This was not me.”"},
		{sallyport.LoginEvent{Message: "login denied", Detail: []byte(`{"reason":"wrong_number"}`)}, "The user was refused.", "Another number was typed on the phone."},
		{sallyport.LoginEvent{Message: "login denied", Detail: []byte(`["no object"]`)}, "The user was refused.", ""},
		{sallyport.LoginEvent{Message: "of a newer version", Detail: []byte(`{"a_b":1}`)}, "of a newer version", "a b: 1"},
	} {
		if title, text := Event(c.event); title != c.title || text != c.text {
			t.Errorf("%+v reads %q, %q", c.event, title, text)
		}
	}
	if got := sentence("über"); got != "Über." {
		t.Error(got)
	}
}
