package console

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/directory"
)

// Picker is the part of a form that chooses OUs and groups of a directory: its tree, read live, a search for
// groups, and a field for a distinguished name. All that it knows travels in the form, so that it works
// without scripts; with them only the form is replaced. Each of its buttons sends "do": what to do.
type Picker struct {
	Trouble string // why the directory shows nothing
	Nodes   []PickNode
	More    int // nodes beside Nodes that are not shown
	Query   string
	Asked   bool // groups were looked for
	Found   []PickNode
	DN      string // as typed
	DNError string
	Open    []string
}

// PickNode is one OU or group.
type PickNode struct {
	Key      string // makes the ids of its buttons
	Kind     sallyport.ObjectKind
	Name     string
	Hint     string
	DN       string
	Open     bool
	Children []PickNode
	More     int
	Acts     []PickAct
}

// PickAct is a button of a node.
type PickAct struct {
	Do, Label string
	Chosen    bool // it takes the choice back
}

const (
	mostOpen  = 24   // nodes whose content is shown: each is one question to the directory
	mostBelow = 300  // objects shown below one
	mostDN    = 1000 // characters
)

// picking is a picker being filled for one directory.
type picking struct {
	r      *request
	domain sallyport.DomainID
	acts   func(sallyport.DirectoryObject) []PickAct
	Picker
}

// pick fills a picker as the form that was sent says; acts gives the buttons of a node.
func (r *request) pick(domain sallyport.DomainID, acts func(sallyport.DirectoryObject) []PickAct) Picker {
	p := &picking{r: r, domain: domain, acts: acts}
	p.readOpen()
	p.Query = clip(strings.TrimSpace(r.FormValue("q")), mostSearch)
	var err error
	if p.Nodes, p.More, err = p.below("", 0); err != nil {
		p.Trouble = sallyport.ErrorMessage(err)
		return p.Picker
	}
	if p.Query != "" {
		p.find()
	}
	return p.Picker
}

// readOpen reads which nodes are open, and opens or closes the one that was asked for.
func (p *picking) readOpen() {
	form, err := p.r.FormParams()
	if err != nil {
		return
	}
	p.Open = slices.DeleteFunc(slices.Clone(form["open"]), func(dn string) bool { return dn == "" || len(dn) > mostDN })
	verb, dn := p.r.doing()
	if verb == "open" || verb == "close" {
		p.Open = slices.DeleteFunc(p.Open, func(open string) bool { return open == dn })
	}
	if verb == "open" && len(dn) <= mostDN {
		p.Open = append(p.Open, dn)
	}
	if len(p.Open) > mostOpen {
		p.Open = p.Open[len(p.Open)-mostOpen:]
	}
}

// doing is what the button that was pressed asks for: a verb, and what it is about.
func (r *request) doing() (verb, about string) {
	verb, about, _ = strings.Cut(r.FormValue("do"), "|")
	return verb, about
}

// maxDepth bounds how deep the tree is followed.
const maxDepth = 30

func (p *picking) below(dn string, depth int) (nodes []PickNode, more int, err error) {
	list, cut, err := p.r.s.admin.DomainTree(p.r.Request().Context(), p.r.Actor(), p.domain, dn)
	if err != nil {
		return nil, 0, err
	}
	if len(list) > mostBelow {
		more, list = len(list)-mostBelow, list[:mostBelow]
	} else if cut {
		more = 1
	}
	for _, b := range list {
		n := p.node(b)
		if n.Open && depth < maxDepth {
			n.Children, n.More, err = p.below(b.DN, depth+1)
			if sallyport.ErrorCode(err) == sallyport.CodeNotFound { // it went away meanwhile
				n.Open, err = false, nil
			}
			if err != nil {
				return nil, 0, err
			}
		}
		nodes = append(nodes, n)
	}
	return nodes, more, nil
}

func (p *picking) node(b directory.Branch) PickNode {
	n := PickNode{Key: keyOf(b.DN), Kind: b.Kind, Name: b.Name, Hint: b.Description, DN: b.DN, Acts: p.acts(b.DirectoryObject)}
	n.Open = b.Kind == sallyport.ObjectOU && slices.Contains(p.Open, b.DN)
	return n
}

// keyOf is a short name for a DN that can stand in an id.
func keyOf(dn string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(dn)))
	return hex.EncodeToString(sum[:6])
}

func (p *picking) find() {
	p.Asked = true
	list, err := p.r.s.admin.FindGroups(p.r.Request().Context(), p.r.Actor(), p.domain, p.Query)
	if err != nil {
		p.Trouble = sallyport.ErrorMessage(err)
		return
	}
	for _, b := range list {
		n := p.node(b)
		n.Key, n.Hint = "f"+n.Key, parentDN(b.DN)
		p.Found = append(p.Found, n)
	}
}

// typed looks up the distinguished name that was typed: words say what is wrong with it.
func (r *request) typedObject(domain sallyport.DomainID) (o sallyport.DirectoryObject, words string) {
	dn := strings.TrimSpace(r.FormValue("dn"))
	if dn == "" || len(dn) > mostDN {
		return o, "Write a distinguished name, such as OU=Staff,DC=hospital,DC=example."
	}
	o, err := r.s.admin.DirectoryObject(r.Request().Context(), r.Actor(), domain, dn)
	if err != nil {
		return o, sallyport.ErrorMessage(err)
	}
	return o, ""
}

// An object travels in a form as "kind|DN".

func objectValue(o sallyport.DirectoryObject) string { return string(o.Kind) + "|" + o.DN }

func readObject(value string) (o sallyport.DirectoryObject, ok bool) {
	kind, dn, _ := strings.Cut(value, "|")
	o = sallyport.DirectoryObject{Kind: sallyport.ObjectKind(kind), DN: dn}
	return o, (o.Kind == sallyport.ObjectOU || o.Kind == sallyport.ObjectGroup) && dn != "" && len(dn) <= mostDN
}

func sameObject(a, b sallyport.DirectoryObject) bool {
	return a.Kind == b.Kind && sallyport.SameDN(a.DN, b.DN)
}

func pickIcon(k sallyport.ObjectKind) string {
	if k == sallyport.ObjectGroup {
		return "users"
	}
	return "directory"
}

// shortDN is the name of the object itself, without where it is.
func shortDN(dn string) string {
	first, _ := splitFirst(dn)
	_, name, _ := strings.Cut(first, "=")
	return strings.ReplaceAll(name, `\`, "")
}

// parentDN is where an object is.
func parentDN(dn string) string {
	_, rest := splitFirst(dn)
	return rest
}

// splitFirst cuts a DN after its first part: at the first comma that is not escaped.
func splitFirst(dn string) (first, rest string) {
	for i := 0; i < len(dn); i++ {
		switch dn[i] {
		case '\\':
			i++
		case ',':
			return dn[:i], dn[i+1:]
		}
	}
	return dn, ""
}

// clip cuts a text after so many octets.
func clip(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "")
	}
	return s
}
