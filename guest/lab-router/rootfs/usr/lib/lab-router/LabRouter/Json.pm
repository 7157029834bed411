# JSON as far as VyOS's HTTP API needs it, on bytes: what is not ASCII passes as the UTF-8 that it is. Perl's own module
# is not in the guest.
package LabRouter::Json;
use strict;

my $MAX_DEPTH = 32;

# Returns the value: a hash, an array, a string, or undef for null; true and false are 1 and 0. Dies with what is wrong.
sub decode {
    my ($text) = @_;
    pos($text) = 0;
    my $value = _value(\$text, 0);
    $text =~ /\G[ \t\r\n]*\z/gc or die 'Extra data: char ' . pos($text) . "\n";
    return $value;
}

sub _value {
    my ($text, $depth) = @_;
    die "nested too deeply\n" if $depth > $MAX_DEPTH;
    $$text =~ /\G[ \t\r\n]*/gc;
    return _list($text, $depth, '}', sub {
        my ($members) = @_;
        $$text =~ /\G[ \t\r\n]*"/gc or die "Expecting property name\n";
        my $name = _string($text);
        $$text =~ /\G[ \t\r\n]*:/gc or die "Expecting ':' delimiter\n";
        $members->{$name} = _value($text, $depth + 1);
    }, {}) if $$text =~ /\G\{/gc;
    return _list($text, $depth, ']', sub { push @{ $_[0] }, _value($text, $depth + 1) }, []) if $$text =~ /\G\[/gc;
    return _string($text) if $$text =~ /\G"/gc;
    return $1             if $$text =~ /\G(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)/gc;
    return $1 eq 'null' ? undef : $1 eq 'true' ? 1 : 0 if $$text =~ /\G(null|true|false)/gc;
    die 'Expecting value: char ' . (pos($$text) // 0) . "\n";
}

sub _list {
    my ($text, $depth, $end, $take, $into) = @_;
    return $into if $$text =~ /\G[ \t\r\n]*\Q$end\E/gc;
    while (1) {
        $take->($into);
        return $into if $$text =~ /\G[ \t\r\n]*\Q$end\E/gc;
        $$text =~ /\G[ \t\r\n]*,/gc or die "Expecting ',' delimiter\n";
    }
}

my %ESCAPES = ('"' => '"', '\\' => '\\', '/' => '/', b => "\b", f => "\f", n => "\n", r => "\r", t => "\t");

sub _string {
    my ($text) = @_;
    my $value = '';
    while (1) {
        if ($$text =~ /\G([^"\\\x00-\x1f]+)/gc) { $value .= $1 }
        elsif ($$text =~ /\G"/gc)               { return $value }
        elsif ($$text =~ m{\G\\(["\\/bfnrt])}gc) { $value .= $ESCAPES{$1} }
        elsif ($$text =~ /\G\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})/gc) {
            $value .= _utf8(0x10000 + ((hex($1) & 0x3ff) << 10) + (hex($2) & 0x3ff));
        }
        elsif ($$text =~ /\G\\u([0-9a-fA-F]{4})/gc) { $value .= _utf8(hex $1) }
        else                                        { die "Unterminated or invalid string\n" }
    }
}

sub _utf8 {
    my ($code) = @_;
    my $character = chr $code;
    utf8::encode($character);
    return $character;
}

# A hash, an array, a string, undef for null; \1 and \0 for true and false.
sub encode {
    my ($value) = @_;
    return 'null' unless defined $value;
    return $$value ? 'true' : 'false' if ref $value eq 'SCALAR';
    return '[' . join(', ', map { encode($_) } @$value) . ']' if ref $value eq 'ARRAY';
    return '{' . join(', ', map { _quoted($_) . ': ' . encode($value->{$_}) } sort keys %$value) . '}' if ref $value eq 'HASH';
    return _quoted($value);
}

sub _quoted {
    my ($text) = @_;
    $text =~ s/(["\\])/\\$1/g;
    $text =~ s/([\x00-\x1f])/sprintf '\\u%04x', ord $1/ge;
    return qq("$text");
}

1;
