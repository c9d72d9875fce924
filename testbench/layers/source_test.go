package layers

import (
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// source is what the law looks at in a Go file.
type source struct {
	path    string
	folder  string // of the file, from the root of the module
	main    bool   // of package main
	test    bool   // a _test.go file
	minimal bool   // part of a build with -tags minimal
	imports []string
	uses    []use
}

// use is a name of another package, as time.Now.
type use struct {
	pkg, name string
	line      int
}

// read parses every Go file below the root of fsys, whatever its build tags, but for the folders that the go command does
// not look into either: nested modules are among them.
func read(fsys fs.FS) ([]source, error) {
	var sources []source
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (base[0] == '.' || base[0] == '_' || base == "testdata" || isModule(fsys, name)):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go" || base[0] == '.' || base[0] == '_':
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		s, err := parse(name, text)
		sources = append(sources, s)
		return err
	})
	return sources, err
}

func isModule(fsys fs.FS, folder string) bool {
	_, err := fs.Stat(fsys, path.Join(folder, "go.mod"))
	return err == nil
}

func parse(name string, text []byte) (source, error) {
	positions := token.NewFileSet()
	file, err := parser.ParseFile(positions, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	s := source{
		path:    name,
		folder:  path.Dir(name),
		main:    file.Name.Name == "main",
		test:    strings.HasSuffix(name, "_test.go"),
		minimal: inMinimal(file),
	}
	named := map[string]string{} // in this file -> import path
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, fmt.Errorf("%s: %w", name, err)
		}
		s.imports = append(s.imports, imported)
		as := path.Base(imported)
		if spec.Name != nil {
			as = spec.Name.Name
		}
		if as == "." {
			return source{}, fmt.Errorf("%s: imports %s as \".\", which hides what is used of it", name, imported)
		}
		named[as] = imported
	}
	// A variable that is named as an imported package looks like it: rather a false alarm than a way around the law.
	ast.Inspect(file, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := selector.X.(*ast.Ident); ok && named[x.Name] != "" {
				s.uses = append(s.uses, use{named[x.Name], selector.Sel.Name, positions.Position(x.Pos()).Line})
			}
		}
		return true
	})
	return s, nil
}

// inMinimal says whether the file is built with -tags minimal on a Linux device.
func inMinimal(file *ast.File) bool {
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if comment.Pos() > file.Package || !constraint.IsGoBuild(comment.Text) {
				continue
			}
			expr, err := constraint.Parse(comment.Text)
			return err != nil || expr.Eval(func(tag string) bool {
				return tag == "minimal" || tag == "linux" || tag == "unix" || tag == "arm64" || strings.HasPrefix(tag, "go1.")
			})
		}
	}
	return true
}
