# A configuration as data: every word of a path is a node, values too. A node is {names => [in order of arrival],
# children => {name => node}}. Functions that render or compare follow the schema.
package LabRouter::Tree;
use strict;
use LabRouter::Schema;

sub new { return { names => [], children => {} } }

sub clone {
    my ($tree) = @_;
    return { names => [@{ $tree->{names} }], children => { map { $_ => clone($tree->{children}{$_}) } @{ $tree->{names} } } };
}

# The part of a tree at a path; undef, also in a list, if there is none.
sub get {
    my ($tree, @path) = @_;
    for my $word (@path) {
        $tree = $tree->{children}{$word} or return undef;
    }
    return $tree;
}

sub exists_at { return defined get(@_) }

sub names_at {
    my $tree = get(@_);
    return $tree ? @{ $tree->{names} } : ();
}

# The only value of a single-valued leaf.
sub value_at { return (names_at(@_))[0] }

sub _add {
    my ($tree, $word) = @_;
    push @{ $tree->{names} }, $word unless exists $tree->{children}{$word};
    return $tree->{children}{$word} ||= new();
}

sub _remove {
    my ($tree, $word) = @_;
    delete $tree->{children}{$word};
    @{ $tree->{names} } = grep { $_ ne $word } @{ $tree->{names} };
}

# Adds a resolved path; the value of a single-valued leaf replaces the former one.
sub set_path {
    my ($tree, @path) = @_;
    my $schema = LabRouter::Schema::root();
    for my $word (@path) {
        if (LabRouter::Schema::takes_value($schema)) {
            if ($schema->{kind} eq 'leaf' && !$schema->{multi}) {
                _remove($tree, $_) for grep { $_ ne $word } @{ $tree->{names} };
            }
            $schema = LabRouter::Schema::value_schema($schema);
        }
        else {
            $schema = $schema->{children}{$word} or die "path not in the schema: @path";
        }
        $tree = _add($tree, $word);
    }
}

# Removes a path, and with the last value the leaf or tag that held it.
sub delete_path {
    my ($tree, @path) = @_;
    return unless exists_at($tree, @path);
    my $last   = pop @path;
    my $parent = get($tree, @path);
    _remove($parent, $last);
    return if @{ $parent->{names} } or not @path;
    my $resolved = LabRouter::Schema::resolve(@path);
    delete_path($tree, @path) if $resolved->{schema} and LabRouter::Schema::takes_value($resolved->{schema});
}

# Makes the part of $to below @path what it is in $from.
sub graft {
    my ($from, $to, @path) = @_;
    delete_path($to, @path);
    my $part = get($from, @path) or return;
    set_path($to, @path);
    my $target = get($to, @path);
    my $copy   = clone($part);
    @$target{qw(names children)} = @$copy{qw(names children)};
}

# Names in the order that VyOS shows them: numbers inside names count as numbers (eth2 before eth10).
sub sorted_names {
    my ($tree, $schema) = @_;
    my @names = @{ $tree->{names} };
    return @names if $schema && $schema->{kind} eq 'leaf';
    my %key = map { my $key = $_; $key =~ s/([0-9]+)/sprintf '%012d', $1 % 1_000_000_000_000/ge; $_ => $key } @names;
    return sort { $key{$a} cmp $key{$b} or $a cmp $b } @names;
}

# Every path that ends: values, flags, and nodes with nothing below them. Each is [words..., ends-in-leaf-value].
sub ends {
    my ($tree, $schema, @path) = @_;
    $schema ||= LabRouter::Schema::root();
    my @ends;
    for my $name (sorted_names($tree, $schema)) {
        my $child  = $tree->{children}{$name};
        my $valued = LabRouter::Schema::takes_value($schema);
        my $below  = $valued ? LabRouter::Schema::value_schema($schema) : $schema->{children}{$name};
        if   (@{ $child->{names} }) { push @ends, ends($child, $below, @path, $name) }
        else                        { push @ends, { path => [@path, $name], is_value => ($valued && $schema->{kind} eq 'leaf' ? 1 : 0) } }
    }
    return @ends;
}

sub command_of {
    my ($verb, $end) = @_;
    my @words = @{ $end->{path} };
    $words[-1] = "'$words[-1]'" if $end->{is_value};
    return join ' ', $verb, @words;
}

# "set ..." lines, as `show configuration commands` prints them.
sub commands {
    my ($tree) = @_;
    return map { command_of('set', $_) } ends($tree);
}

sub _quoted {
    my ($text) = @_;
    $text =~ s/(["\\])/\\$1/g;
    return qq("$text");
}

sub _plain {
    my ($text) = @_;
    return $text =~ /\A[^\s"'{}]+\z/ ? $text : _quoted($text);
}

# Lines of the braced form. `quote` puts every value in quotes (the file format of 1.4), else only where needed (what
# the commands show). `mark` is called with a path and gives the one character before each line.
sub braced {
    my ($tree, $schema, %options) = @_;
    my ($indent, $path) = ($options{indent} // '', $options{path} // []);
    my $mark = sub { $options{mark} ? $options{mark}->(@_) : '' };
    my $quote = $options{quote} ? \&_quoted : \&_plain;
    my @lines;
    for my $name (sorted_names($tree, $schema)) {
        my $child = $tree->{children}{$name};
        my $below = $schema->{children}{$name};
        my @here  = (@$path, $name);
        if ($below->{kind} eq 'leaf') {
            push @lines, $mark->(@here, $_) . "$indent$name " . $quote->($_) for sorted_names($child, $below);
        }
        elsif ($below->{kind} eq 'flag') {
            push @lines, $mark->(@here) . "$indent$name";
        }
        else {
            my @blocks = $below->{kind} eq 'tag' ? map { [$_] } sorted_names($child, $below) : ([]);
            for my $block (@blocks) {
                my ($inner, $inner_schema) = @$block
                    ? ($child->{children}{ $block->[0] }, LabRouter::Schema::value_schema($below))
                    : ($child, $below);
                my @path_here = (@here, @$block);
                push @lines, $mark->(@path_here) . $indent . join(' ', $name, @$block) . ' {';
                push @lines, braced($inner, $inner_schema, %options, indent => "$indent    ", path => \@path_here);
                push @lines, $mark->(@path_here) . "$indent}";
            }
        }
    }
    return @lines;
}

# What one tree has and the other has not: lists of end paths.
sub difference {
    my ($from, $to) = @_;
    my %had = map { join("\0", @{ $_->{path} }) => 1 } ends($from);
    my %has = map { join("\0", @{ $_->{path} }) => 1 } ends($to);
    # A node that was empty and now has children is no loss: its path is still there.
    my @gone  = grep { !$has{ join "\0", @{ $_->{path} } } && !exists_at($to,   @{ $_->{path} }) } ends($from);
    my @fresh = grep { !$had{ join "\0", @{ $_->{path} } } && !exists_at($from, @{ $_->{path} }) } ends($to);
    return (\@gone, \@fresh);
}

# Whether two parts hold the same. Unlike `difference` this also sees a node that only became empty or filled.
sub same_part {
    my ($left, $right) = @_;
    my @names = @{ $left->{names} };
    return if @names != @{ $right->{names} };
    for my $name (@names) {
        my $other = $right->{children}{$name} or return;
        return unless same_part($left->{children}{$name}, $other);
    }
    return 1;
}

sub same {
    my ($gone, $fresh) = difference(@_);
    return !@$gone && !@$fresh;
}

# The shallowest path on the way to @path that $other lacks: what `compare` and `compare commands` name as one change.
sub first_missing {
    my ($other, @path) = @_;
    for my $length (1 .. @path) {
        my @head = @path[0 .. $length - 1];
        return @head unless exists_at($other, @head);
    }
    return @path;
}

# `compare`: a "[path]" heading for each place that differs, then the lines that went and came there.
sub compare {
    my ($from, $to) = @_;
    my ($gone, $fresh) = difference($from, $to);
    my (@order, %blocks);
    for my $change ([ '- ', $gone, $from, $to ], [ '+ ', $fresh, $to, $from ]) {
        my ($mark, $ends, $with, $without) = @$change;
        my %done;
        for my $end (@$ends) {
            my @missing = first_missing($without, @{ $end->{path} });
            my ($heading, @shown) = _change_root(@missing);
            my $key = join ' ', @$heading;
            next if $done{ join "\0", @$heading, "\1", @shown }++;
            push @order, $key unless $blocks{$key};
            my $part = new();
            LabRouter::Tree::_copy_part($with, $part, @$heading, @shown);
            my $schema = @$heading ? LabRouter::Schema::resolve(@$heading)->{schema} : LabRouter::Schema::root();
            push @{ $blocks{$key} }, map { "$mark$_" } braced(get($part, @$heading), $schema, quote => 1);
        }
    }
    return map { my $key = $_; ("[$key]", @{ $blocks{$key} }, '') } @order;
}

# Where a change hangs: a tag value or a leaf value is shown together with the word before it.
sub _change_root {
    my (@missing) = @_;
    my $start = $#missing;
    if ($start > 0) {
        my $before = LabRouter::Schema::resolve(@missing[0 .. $start - 1])->{schema};
        $start-- if $before && LabRouter::Schema::takes_value($before);
    }
    return ([@missing[0 .. $start - 1]], @missing[$start .. $#missing]);
}

sub _copy_part {
    my ($from, $to, @path) = @_;
    set_path($to, @path);
    my $copy   = clone(get($from, @path));
    my $target = get($to, @path);
    @$target{qw(names children)} = @$copy{qw(names children)};
}

# `compare commands`: delete lines first, each for the shallowest thing that went.
sub compare_commands {
    my ($from, $to) = @_;
    my ($gone, $fresh) = difference($from, $to);
    my (%done, @lines);
    for my $end (@$gone) {
        my @missing  = first_missing($to, @{ $end->{path} });
        my $is_value = $end->{is_value} && @missing == @{ $end->{path} };
        my $line     = command_of('delete', { path => \@missing, is_value => $is_value });
        push @lines, $line unless $done{$line}++;
    }
    return (@lines, map { command_of('set', $_) } @$fresh);
}

1;
