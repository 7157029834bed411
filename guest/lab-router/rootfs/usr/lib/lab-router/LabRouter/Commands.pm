# The commands of configuration mode on one session, as text in and text out. A session is {id, base (the active
# configuration its changes stand on), candidate, level (where `edit` went), unsaved}.
package LabRouter::Commands;
use strict;
use LabRouter::BootFile;
use LabRouter::Schema;
use LabRouter::Tree;

sub session {
    my ($id, $active) = @_;
    return { id => $id, base => $active, candidate => LabRouter::Tree::clone($active), level => [] };
}

sub changed { return !LabRouter::Tree::same($_[0]{base}, $_[0]{candidate}) }

# An error of `set` and its kin: framed by blank lines and indented, as VyOS prints it.
sub framed {
    return join '', map { "$_\n" } '', (map { "  $_" } @_), '';
}

# What is wrong with a path that did not resolve, as the lines that VyOS prints.
sub path_problem {
    my ($resolved) = @_;
    my @words = @{ $resolved->{words} };
    my $at    = $resolved->{at};
    return (@{ $resolved->{lines} }, 'Value validation failed') if $resolved->{problem} eq 'value';
    my $place = join ' ', @words[0 .. $at - 1], "[$words[$at]]";
    return ("Configuration path: $place is not valid") if $resolved->{problem} eq 'invalid';
    return ("Configuration path: $place is ambiguous", 'Possible completions:', map { "  $_" } @{ $resolved->{candidates} });
}

sub _full_path { my ($session, @words) = @_; return (@{ $session->{level} }, @words) }

sub set {
    my ($session, @words) = @_;
    return (1, framed('Need to specify the config node to set', 'Set failed')) unless @words;
    my $resolved = LabRouter::Schema::resolve(_full_path($session, @words));
    return (1, framed(path_problem($resolved), 'Set failed')) if $resolved->{problem};
    my @path = @{ $resolved->{words} };
    return (1, framed("Configuration path: [@path] requires a value", 'Set failed'))
        if LabRouter::Schema::takes_value($resolved->{schema});
    return (1, framed(q{Cannot use the "'" (single quote) character in a value string}, 'Set failed'))
        if grep { /'/ } @path;
    return (0, framed("Configuration path: [@path] already exists"))
        if LabRouter::Tree::exists_at($session->{candidate}, @path);
    LabRouter::Tree::set_path($session->{candidate}, @path);
    return (0, '');
}

sub delete {
    my ($session, @words) = @_;
    return (1, framed('Need to specify the config node to delete', 'Delete failed')) unless @words;
    my $resolved = LabRouter::Schema::resolve(_full_path($session, @words));
    # A value need not be a good one to be absent.
    my $problem = $resolved->{problem} // '';
    return (1, framed(path_problem($resolved), 'Delete failed')) if $problem && $problem ne 'value';
    my @path = @{ $resolved->{words} };
    if ($problem || !LabRouter::Tree::exists_at($session->{candidate}, @path)) {
        my $before = LabRouter::Schema::resolve(@path[0 .. $#path - 1])->{schema};
        my $what   = $problem || ($before && LabRouter::Schema::takes_value($before)) ? 'value' : 'node';
        return (0, framed("Nothing to delete (the specified $what does not exist)"));
    }
    LabRouter::Tree::delete_path($session->{candidate}, @path);
    return (0, '');
}

sub edit {
    my ($session, @words) = @_;
    return (1, framed('Need to specify the config node to edit', 'Edit failed')) unless @words;
    my $resolved = LabRouter::Schema::resolve(_full_path($session, @words));
    return (1, framed(path_problem($resolved), 'Edit failed')) if $resolved->{problem};
    my @path   = @{ $resolved->{words} };
    my $schema = $resolved->{schema};
    return (1, framed("Configuration path: [@path] requires a value", 'Edit failed')) if $schema->{kind} eq 'tag';
    my $before = LabRouter::Schema::resolve(@path[0 .. $#path - 1])->{schema};
    return (1, framed('The "edit" command cannot be issued at the specified level', 'Edit failed'))
        if $schema->{kind} ne 'node' || $before->{kind} eq 'leaf';
    $session->{level} = \@path;
    return (0, '');
}

sub up {
    my ($session) = @_;
    my @level = @{ $session->{level} };
    return (1, "Already at the top level\n") unless @level;
    pop @level;
    # The name of a tag node alone is no level of its own.
    pop @level if @level && LabRouter::Schema::resolve(@level)->{schema}{kind} eq 'tag';
    $session->{level} = \@level;
    return (0, '');
}

sub top {
    my ($session) = @_;
    return (1, "Already at the top level\n") unless @{ $session->{level} };
    $session->{level} = [];
    return (0, '');
}

sub discard {
    my ($session) = @_;
    return (0, framed('No changes have been discarded')) unless changed($session);
    $session->{candidate} = LabRouter::Tree::clone($session->{base});
    return (0, framed('Changes have been discarded'));
}

sub show {
    my ($session, @words) = @_;
    my $resolved = LabRouter::Schema::resolve(_full_path($session, @words));
    return (1, framed(path_problem($resolved), 'Show failed')) if $resolved->{problem} && $resolved->{problem} ne 'value';
    my @path   = @{ $resolved->{words} };
    my $both   = LabRouter::Tree::clone($session->{candidate});
    for my $end (LabRouter::Tree::ends($session->{base})) {
        next if LabRouter::Tree::exists_at($both, @{ $end->{path} });
        _add_beside($both, @{ $end->{path} });
    }
    my $mark = sub {
        my $was = LabRouter::Tree::exists_at($session->{base},      @_);
        my $is  = LabRouter::Tree::exists_at($session->{candidate}, @_);
        return $was && $is ? ' ' : $is ? '+' : '-';
    };
    my @lines = part_lines($both, \@path, mark => $mark);
    return (0, "Configuration under specified path is empty\n") unless @lines;
    return (0, join '', map { "$_\n" } @lines);
}

# Shows a former value next to its successor, which set_path would replace.
sub _add_beside {
    my ($tree, @path) = @_;
    for my $word (@path) {
        push @{ $tree->{names} }, $word unless exists $tree->{children}{$word};
        $tree = $tree->{children}{$word} ||= LabRouter::Tree::new();
    }
}

# The braced lines of what is below a path; a leaf or a tag is shown with its own name.
sub part_lines {
    my ($tree, $path, %options) = @_;
    my @path   = @$path;
    my $schema = @path ? LabRouter::Schema::resolve(@path)->{schema} : LabRouter::Schema::root();
    return if !$schema || !LabRouter::Tree::exists_at($tree, @path);
    if ($schema->{kind} ne 'node') {
        my $name   = pop @path;
        my $parent = { names => [$name], children => { $name => LabRouter::Tree::get($tree, @path, $name) } };
        return LabRouter::Tree::braced($parent, LabRouter::Schema::resolve(@path)->{schema}, %options, path => \@path);
    }
    return LabRouter::Tree::braced(LabRouter::Tree::get($tree, @path), $schema, %options, path => \@path);
}

# `compare [commands]` against what the session stands on, `compare saved` against the file's configuration.
sub compare {
    my ($session, $saved, @words) = @_;
    my $commands = @words && $words[-1] eq 'commands' ? pop @words : '';
    my $against  = @words ? shift @words : '';
    return (1, framed("Invalid command: [compare $against]")) if @words || ($against ne '' && $against ne 'saved');
    my $from = $against eq 'saved' ? $saved : $session->{base};
    my $to   = $session->{candidate};
    if (LabRouter::Tree::same($from, $to)) {
        my $what = $against eq 'saved' ? 'saved' : 'active';
        return (0, "No changes between working and $what configurations.\n\n");
    }
    my @lines = $commands ? LabRouter::Tree::compare_commands($from, $to) : LabRouter::Tree::compare($from, $to);
    return (0, join '', map { "$_\n" } @lines, $commands ? ('') : ());
}

# `load` replaces the candidate by a file's configuration, `merge` adds it.
sub load {
    my ($session, $text, $merge) = @_;
    my ($tree, $problems) = LabRouter::BootFile::parse($text);
    my $warnings = join '', map { "Warning: $_\n" } @$problems;
    if ($merge) {
        LabRouter::Tree::set_path($session->{candidate}, @{ $_->{path} }) for LabRouter::Tree::ends($tree);
        return (0, "${warnings}Merge complete. Use 'commit' to make changes effective.\n");
    }
    $session->{candidate} = $tree;
    $session->{level}     = [];
    return (0, $warnings . (changed($session)
        ? "Load complete. Use 'commit' to make changes effective.\n"
        : "No configuration changes to commit\n"));
}

# Puts a session's changes onto an active configuration that another session has changed meanwhile.
sub rebase {
    my ($session, $active) = @_;
    my ($gone, $fresh) = LabRouter::Tree::difference($session->{base}, $session->{candidate});
    my $candidate = LabRouter::Tree::clone($active);
    LabRouter::Tree::delete_path($candidate, LabRouter::Tree::first_missing($session->{candidate}, @{ $_->{path} })) for @$gone;
    LabRouter::Tree::set_path($candidate, @{ $_->{path} }) for @$fresh;
    @$session{qw(base candidate)} = ($active, $candidate);
}

1;
