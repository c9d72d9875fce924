package layers

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// check returns a sentence for each breach of the law.
func check(module string, sources []source) []string {
	var found []string
	for _, s := range sources {
		found = append(found, checkFile(module, s)...)
	}
	for _, b := range bans {
		found = append(found, b.check(module, sources)...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func checkFile(module string, s source) (found []string) {
	report := func(format string, args ...any) { found = append(found, s.path+": "+fmt.Sprintf(format, args...)) }
	l, ok := law[s.folder]
	if !ok {
		report("the folder %s has no line in the law: say in testbench/layers/law_test.go what it may import", s.folder)
		return found
	}
	if s.main && !isMain(s.folder) {
		report("package main stands only in <role>/cmd/<binary>")
	}
	for _, imported := range s.imports {
		own, isOwn := ours(module, imported)
		switch {
		case isOwn && !l.mayImport(s, own):
			report("imports %s, which the line of %s in the law does not allow", own, s.folder)
		case !isOwn && isThirdParty(imported) && !l.mayUse(s, imported):
			report("imports %s, which the line of %s in the law does not allow: a dependency stands where its reason is", imported, s.folder)
		}
	}
	for _, u := range s.uses {
		for what := range touches {
			if slices.Contains(touches[what][u.pkg], u.name) && !l.mayTouch(s, what) {
				report("line %d: %s.%s touches %s: %s", u.line, path.Base(u.pkg), u.name, what, outsideRules[what])
			}
		}
	}
	return found
}

func (l line) mayImport(s source, own string) bool {
	if !s.test || matchAny(l.may, own) {
		return matchAny(l.may, own)
	}
	ground := role(own) == "attest" && role(s.folder) != "modem"
	return role(own) == role(s.folder) || ground || isTestFolder(own) || role(own) == "testbench"
}

func (l line) mayUse(s source, imported string) bool {
	allowed := l.modules
	if s.test {
		allowed = modules
	}
	return slices.ContainsFunc(allowed, func(m string) bool { return match(m+"/...", imported) })
}

func (l line) mayTouch(s source, what outside) bool {
	_, listed := l.opens[what]
	return listed || s.test || isTestFolder(s.folder) || isMain(s.folder)
}

// check follows the imports of each folder of the ban through packages of ours. What a third-party package imports in
// turn is not looked at: go-tpm's tpm2 itself pulls in its transport interface.
func (b ban) check(module string, sources []source) (found []string) {
	imports := map[string][]string{} // package of ours -> what its shipped files import
	for _, s := range sources {
		if !s.test && (s.minimal || !b.minimal) {
			for _, imported := range s.imports {
				if own, ok := ours(module, imported); ok {
					imported = own
				}
				imports[s.folder] = append(imports[s.folder], imported)
			}
		}
	}
	for _, from := range slices.Sorted(maps.Keys(imports)) {
		if !matchAny(b.from, from) || matchAny(b.except, from) {
			continue
		}
		if way := b.wayFrom(from, imports); way != nil {
			found = append(found, fmt.Sprintf("%s reaches what it must not: %s: %s", from, strings.Join(way, " -> "), b.why))
		}
	}
	return found
}

// wayFrom returns a shortest way to something banned, or nil.
func (b ban) wayFrom(from string, imports map[string][]string) []string {
	seen := map[string]bool{from: true}
	for ways := [][]string{{from}}; len(ways) > 0; ways = ways[1:] {
		way := ways[0]
		for _, next := range imports[way[len(way)-1]] {
			longer := append(slices.Clone(way), next)
			if matchAny(b.to, next) {
				return longer
			}
			if !seen[next] {
				seen[next] = true
				ways = append(ways, longer)
			}
		}
	}
	return nil
}

func matchAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, pkg) })
}

// match knows three patterns: a path, "x/..." for x and all below it, and "*test".
func match(pattern, pkg string) bool {
	if pattern == "*test" {
		return isTestFolder(pkg)
	}
	root, deep := strings.CutSuffix(pattern, "/...")
	return pkg == root || deep && strings.HasPrefix(pkg, root+"/")
}

func ours(module, imported string) (folder string, ok bool) {
	return strings.CutPrefix(imported, module+"/")
}

// isThirdParty goes by the host name with which the path of a published module begins.
func isThirdParty(imported string) bool {
	return strings.Contains(role(imported), ".")
}

func role(folder string) string {
	first, _, _ := strings.Cut(folder, "/")
	return first
}

// isTestFolder knows the packages that help to test by their name, as modem/modemtest and net/http/httptest.
func isTestFolder(folder string) bool {
	return path.Dir(folder) != "." && strings.HasSuffix(folder, "test")
}

func isMain(folder string) bool { return path.Base(path.Dir(folder)) == "cmd" }
