#!/usr/bin/perl -w
# Lets a test call the lab router's modules: one JSON array [function, arguments...] a line in, one JSON value a line
# out. Configurations are given and returned as lists of paths.
use strict;
use JSON::PP;
use LabRouter::BootFile;
use LabRouter::Commands;
use LabRouter::Json;
use LabRouter::Tree;

$| = 1;
my $json = JSON::PP->new->canonical->allow_nonref;

sub tree_of {
    my ($paths) = @_;
    my $tree = LabRouter::Tree::new();
    LabRouter::Tree::set_path($tree, @$_) for @$paths;
    return $tree;
}

sub paths_of { return [ map { $_->{path} } LabRouter::Tree::ends($_[0]) ] }

my %FUNCTIONS = (
    complaints => sub { return [ LabRouter::Types::complaints(@_) ] },
    family     => sub { return LabRouter::Types::family_of(@_) },
    json       => sub { return LabRouter::Json::encode(LabRouter::Json::decode(@_)) },
    render     => sub { return LabRouter::BootFile::render(tree_of(@_)) },
    parse      => sub { my ($tree, $problems) = LabRouter::BootFile::parse(@_); return { paths => paths_of($tree), problems => $problems } },
    # A session on a configuration: each step is a command with its words; the answer has each one's text.
    session => sub {
        my ($base, @steps) = @_;
        my $session = LabRouter::Commands::session(1, tree_of($base));
        my @texts;
        for my $step (@steps) {
            my ($command, @words) = @$step;
            my ($status, $text) =
                $command eq 'compare' ? LabRouter::Commands::compare($session, tree_of($base), @words)
              : $command eq 'rebase'  ? do { LabRouter::Commands::rebase($session, tree_of($words[0])); (0, '') }
              :                         LabRouter::Commands->can($command)->($session, @words);
            push @texts, $text;
        }
        return { texts => \@texts, level => join(' ', @{ $session->{level} }), paths => paths_of($session->{candidate}) };
    },
);

while (my $line = <STDIN>) {
    my ($function, @arguments) = @{ $json->decode($line) };
    my $value = eval { $FUNCTIONS{$function}->(@arguments) };
    print $json->encode($@ ? { error => "$@" } : { value => $value }), "\n";
}
