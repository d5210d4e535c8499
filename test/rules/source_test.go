package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// text of a file at a line.
type text struct {
	line int
	text string
}

// parse returns the comments and strings of a Go file, and the names that it declares.
func parse(t *testing.T, path string) (sentences, names []text) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, filepath.Join(root, path), nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	add := func(to *[]text, position token.Pos, content string) {
		*to = append(*to, text{set.Position(position).Line, content})
	}
	for _, group := range file.Comments {
		add(&sentences, group.Pos(), strings.Join(strings.Fields(group.Text()), " "))
	}
	declare := func(identifiers ...*ast.Ident) {
		for _, identifier := range identifiers {
			if identifier != nil {
				add(&names, identifier.Pos(), identifier.Name)
			}
		}
	}
	declare(file.Name)
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.BasicLit:
			if node.Kind == token.STRING {
				if content, err := strconv.Unquote(node.Value); err == nil {
					add(&sentences, node.Pos(), content)
				}
			}
		case *ast.FuncDecl:
			declare(node.Name)
		case *ast.TypeSpec:
			declare(node.Name)
		case *ast.ValueSpec:
			declare(node.Names...)
		case *ast.Field:
			declare(node.Names...)
		case *ast.AssignStmt:
			if node.Tok == token.DEFINE {
				for _, left := range node.Lhs {
					if identifier, ok := left.(*ast.Ident); ok {
						declare(identifier)
					}
				}
			}
		case *ast.RangeStmt:
			for _, left := range []ast.Expr{node.Key, node.Value} {
				if identifier, ok := left.(*ast.Ident); ok && node.Tok == token.DEFINE {
					declare(identifier)
				}
			}
		}
		return true
	})
	return sentences, names
}

// boundary between two parts of a name.
var boundary = regexp.MustCompile(`[^A-Za-z]+`)

// parts of a name in lower case: those of peersThatExist are peers, that and exist.
func parts(name string) []string {
	var all []string
	for _, piece := range boundary.Split(name, -1) {
		start := 0
		runes := []rune(piece)
		for i := 1; i < len(runes); i++ {
			if unicode.IsUpper(runes[i]) && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && !unicode.IsUpper(runes[i+1])) {
				all = append(all, strings.ToLower(string(runes[start:i])))
				start = i
			}
		}
		if start < len(runes) {
			all = append(all, strings.ToLower(string(runes[start:])))
		}
	}
	return all
}

func TestPartsOfNames(t *testing.T) {
	for name, want := range map[string]string{
		"peersThatExist": "peers that exist", "TLSFiles": "tls files", "parseJSON": "parse json", "join_status": "join status", "x": "x", "TestAPeer": "test a peer",
	} {
		if got := strings.Join(parts(name), " "); got != want {
			t.Errorf("parts of %s: %q, want %q", name, got, want)
		}
	}
}
