package harness

import (
	"context"
	_ "embed"
	"encoding/json"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// axe-core 4.14.1 (npm), MPL-2.0: axe/LICENSE. Tests run it in a page; no part of the product holds it.
//
//go:embed axe/axe.min.js
var axe string

// axeDeadline bounds a run on one page.
const axeDeadline = 30 * time.Second

// Axe runs axe-core on the page of a tab with every rule of WCAG 2.2 A and AA and of good practice, and returns
// what it found: the rule, what it says, and the first element.
func Axe(tb testing.TB, tab context.Context) []string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tab, axeDeadline)
	defer cancel()
	there, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`typeof window.axe === "object"`)) // in another look at the same document
	if err == nil && !there {
		_, err = chromedp.Run(ctx, chromedp.Evaluate[bool](axe+"\n;true"))
	}
	if err != nil {
		tb.Fatalf("load axe-core: %v", err)
	}
	found, err := chromedp.Run(ctx, chromedp.Evaluate[string](`axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
		.then(r => JSON.stringify(r.violations.map(v => v.id + ": " + v.help + ": " + v.nodes.map(n => n.html + " (" + n.failureSummary + ")").slice(0, 2).join("; "))))`, chromedp.EvalAwaitPromise))
	if err != nil {
		tb.Fatalf("run axe-core: %v", err)
	}
	var out []string
	if err := json.Unmarshal([]byte(found), &out); err != nil {
		tb.Fatalf("read axe-core's answer: %v", err)
	}
	return out
}
