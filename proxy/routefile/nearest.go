package routefile

import (
	"fmt"
	"slices"
)

// "Did you mean": the name nearest to a misspelt one.

// didYouMean returns `, did you mean "host"?` for the candidate nearest to name, or "" if
// none is near.
func didYouMean(name string, candidates []string) string {
	if near := nearest(name, candidates); near != "" {
		return fmt.Sprintf(", did you mean %q?", near)
	}
	return ""
}

// nearest returns the candidate at the smallest edit distance from name, the
// first in alphabetical order of several; "" when the distance is more than a
// third of the name's length (at least 1, at most 4), as then it is another word.
func nearest(name string, candidates []string) string {
	limit := min(max(len(name)/3, 1), 4)
	best, found := limit+1, ""
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if d := distance(name, c, best); d < best {
			best, found = d, c
		}
	}
	return found
}

// distance is the optimal string alignment distance (insert, drop, replace,
// swap neighbours) between a and b, or any number >= limit once it cannot be less.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+unequal(a[i-1], b[j-1]))
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func unequal(a, b byte) int {
	if a == b {
		return 0
	}
	return 1
}
