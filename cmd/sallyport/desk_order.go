package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport"
)

// Lists whose order counts are changed as a whole, from the version that was read.

// changing changes a list; nil: nothing is to be changed.
type changing[T any] func([]T) ([]T, error)

// changeList reads a list, changes it, writes it, and shows it as it is then.
func changeList[T any](ctx context.Context, read func(context.Context, sallyport.Actor) ([]T, int64, error),
	write func(context.Context, sallyport.Actor, []T, int64) error, show func(context.Context) error, actor sallyport.Actor, change changing[T]) error {
	list, version, err := read(ctx, actor)
	if err != nil {
		return err
	}
	if list, err = change(slices.Clone(list)); err != nil || list == nil {
		return err
	}
	if err := write(ctx, actor, list, version); err != nil {
		return fieldWords(err)
	}
	return show(ctx)
}

// placeAt puts an element at a place of a list, counted from 1; 0 is its end.
func placeAt[T any](list []T, number int, v T) ([]T, error) {
	if number == 0 {
		number = len(list) + 1
	}
	if number < 1 || number > len(list)+1 {
		return nil, &usageError{fmt.Errorf("place %d: use 1 to %d", number, len(list)+1)}
	}
	return slices.Insert(list, number-1, v), nil
}

// numbered returns the index of the element that a word numbers.
func numbered[T any](list []T, word string) (int, error) {
	n, err := strconv.Atoi(word)
	if err != nil || n < 1 || n > len(list) {
		return 0, &usageError{fmt.Errorf("number %q: the list has %d", word, len(list))}
	}
	return n - 1, nil
}

// moving moves an element to the place of another one.
func moving[T any](from, to string) changing[T] {
	return func(list []T) ([]T, error) {
		f, err := numbered(list, from)
		if err != nil {
			return nil, err
		}
		t, err := numbered(list, to)
		if err != nil {
			return nil, err
		}
		v := list[f]
		return slices.Insert(slices.Delete(list, f, f+1), t, v), nil
	}
}

// removing removes an element after the question.
func removing[T any](t *task, word string, question func(T) string) changing[T] {
	return func(list []T) ([]T, error) {
		i, err := numbered(list, word)
		if err != nil {
			return nil, err
		}
		if ok, err := t.sure(question(list[i])); !ok || err != nil {
			return nil, err
		}
		return slices.Delete(list, i, i+1), nil
	}
}

// completeNumber offers the numbers of a list, for two arguments at most.
func completeNumber(c *cobra.Command, args []string, begun string, list func(context.Context, *desk) ([]string, error)) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completing(func(ctx context.Context, d *desk, _ string) (out []cobra.Completion, err error) {
		names, err := list(ctx, d)
		for i, name := range names {
			out = append(out, cobra.CompletionWithDesc(strconv.Itoa(i+1), name))
		}
		return out, err
	})(c, args, begun)
}

// domainOf returns the domain whose entry a DN is.
func (d *desk) domainOf(ctx context.Context, dn string) (sallyport.DomainID, error) {
	names, err := d.GrantDomains(ctx, d.actor)
	if err != nil {
		return "", err
	}
	id := sallyport.DomainOf(dn, names)
	if id == "" {
		return "", sallyport.Errorf(sallyport.CodeInvalid, fmt.Sprintf("None of the domains has %q. 'sallyport domain list' shows them.", dn), nil)
	}
	return id, nil
}
