package console

import "fmt"

// Bar is one bar of a chart: a part for each series, from the bottom up.
type Bar struct {
	Label string
	Parts []int
}

// Chart is a bar chart as inline SVG, with the same as a table for who cannot see it.
type Chart struct {
	Title  string
	Series []Series
	Bars   []Bar
	// Every is how many bars share a label below; 0: as many as fit.
	Every int
}

// Series is what one part of every bar counts. Tone is that of a Badge.
type Series struct{ Label, Tone string }

// drawn is a chart in the coordinates of its picture.
type drawn struct {
	Chart
	Width, Height int
	Rects         []rect
	Labels        []text
	Lines         []line
	Total         int
}

type rect struct {
	X, Y, W, H float64
	Tone, Tip  string
}

type text struct {
	X, Y float64
	Text string
}

type line struct {
	Y    float64
	Text string
}

// Measures of a chart in units of its picture.
const (
	chartWidth  = 720
	chartHeight = 200
	chartLeft   = 44
	chartBottom = 24
	chartTop    = 10
	mostLabels  = 12
)

// barChart lays a chart out.
func barChart(c Chart) drawn {
	d := drawn{Chart: c, Width: chartWidth, Height: chartHeight}
	most := 0
	for _, b := range c.Bars {
		sum := 0
		for _, p := range b.Parts {
			sum += p
		}
		most, d.Total = max(most, sum), d.Total+sum
	}
	top := niceTop(most)
	scale := float64(chartHeight-chartTop-chartBottom) / float64(top)
	floor := float64(chartHeight - chartBottom)
	for i := range 3 {
		v := top * i / 2
		d.Lines = append(d.Lines, line{Y: floor - float64(v)*scale, Text: fmt.Sprint(v)})
	}
	if len(c.Bars) == 0 {
		return d
	}
	step := float64(chartWidth-chartLeft) / float64(len(c.Bars))
	every := c.Every
	if every == 0 {
		every = (len(c.Bars) + mostLabels - 1) / mostLabels
	}
	for i, b := range c.Bars {
		x, y := chartLeft+float64(i)*step, floor
		for k, p := range b.Parts {
			if p == 0 || k >= len(c.Series) {
				continue
			}
			h := float64(p) * scale
			y -= h
			d.Rects = append(d.Rects, rect{X: x + step*0.15, Y: y, W: step * 0.7, H: h, Tone: c.Series[k].Tone,
				Tip: fmt.Sprintf("%s, %s: %d", b.Label, c.Series[k].Label, p)})
		}
		if i%every == 0 {
			d.Labels = append(d.Labels, text{X: x + step/2, Y: chartHeight - 6, Text: b.Label})
		}
	}
	return d
}

// niceTop is an even number of at least most that is 2, 4, 10 or 20 and so on.
func niceTop(most int) int {
	for top := 2; ; top *= 10 {
		for _, n := range []int{top, top * 2, top * 5} {
			if n >= most {
				return n
			}
		}
	}
}
