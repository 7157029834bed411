# The file format of VyOS 1.4's config.boot: a braced tree and a version footer.
package LabRouter::BootFile;
use strict;
use LabRouter::Schema;
use LabRouter::Tree;

# The versions that VyOS 1.4.1 writes for the subtrees that the lab router knows.
my $FOOTER = <<'END';


// Warning: Do not remove the following line.
// vyos-config-version: "bridge@1:interfaces@32:quagga@11:ssh@2:system@27"
// Release version: 1.4.1-lab-router
END

sub render {
    my ($tree) = @_;
    return join('', map { "$_\n" } LabRouter::Tree::braced($tree, LabRouter::Schema::root(), quote => 1)) . $FOOTER;
}

# Reads the text of a file. Returns (tree, problems): a path that the schema refuses is a problem and is left out.
sub parse {
    my ($text) = @_;
    my $tree = LabRouter::Tree::new();
    my (@problems, @open);
    my $number = 0;
    $text =~ s{/\*.*?\*/}{my $comment = $&; $comment =~ tr/\n//cd; $comment}gse;
    for my $line (split /\n/, $text) {
        $number++;
        next if $line =~ m{\A\s*(?://.*)?\z};
        my $words = _words($line);
        if (!$words) { push @problems, "line $number: cannot be read"; next }
        my @words = @$words;
        if (@words == 1 && $words[0] eq '}') {
            push @problems, "line $number: unexpected }" unless @open;
            pop @open;
            next;
        }
        my $opens = $line =~ /\{\s*\z/ && $words[-1] eq '{';
        pop @words if $opens;
        my @path = (@open ? @{ $open[-1] } : (), @words);
        push @open, \@path if $opens;
        my $resolved = LabRouter::Schema::resolve(@path);
        my $ends     = $resolved->{schema};
        if ($resolved->{problem} || "@{ $resolved->{words} }" ne "@path") {
            push @problems, "line $number: [@path] is not valid";
        }
        elsif (LabRouter::Schema::takes_value($ends)) {
            push @problems, "line $number: [@path] requires a value";
        }
        else {
            LabRouter::Tree::set_path($tree, @path);
        }
    }
    push @problems, 'the file ends inside a block' if @open;
    return ($tree, \@problems);
}

sub _words {
    my ($line) = @_;
    my @words;
    while ($line =~ /\G\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))/gc) {
        my ($quoted, $plain) = ($1, $2);
        $quoted =~ s/\\(.)/$1/g if defined $quoted;
        push @words, defined $quoted ? $quoted : $plain;
    }
    return $line =~ /\G\s*\z/gc && @words ? \@words : undef;
}

1;
