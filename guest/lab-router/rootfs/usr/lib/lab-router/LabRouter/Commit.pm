# Commit: every changed unit is checked and applied on its own; the good ones become active though others are refused.
package LabRouter::Commit;
use strict;
use LabRouter::Tree;
use LabRouter::Units;

# Returns (active configuration afterwards, exit status, text). `$candidate` may be changed by a unit (a plain password
# becomes its hash).
sub commit {
    my ($active, $candidate) = @_;
    my @units = LabRouter::Units::changed($active, $candidate);
    my $now   = LabRouter::Tree::clone($active);
    my ($text, @failed) = ('');
    for my $unit (@units) {
        my @path      = @{ $unit->{path} };
        my $complaint = LabRouter::Units::complaint($unit, $now, $candidate);
        if (defined $complaint) {
            $text .= "[ @path ]\n$complaint\n\n";
            push @failed, "[[@path]] failed\n";
            next;
        }
        if (eval { LabRouter::Units::apply($unit, $now, $candidate); 1 }) {
            LabRouter::Tree::graft($candidate, $now, @path);
            next;
        }
        $text .= "[ @path ]\n" . crash_report($@, @path) . "\n";
        push @failed, "[[@path]] failed\n";
        # A unit that failed half-way must not leave the kernel with something that no configuration names.
        eval { LabRouter::Units::apply($unit, $candidate, $now) };
    }
    LabRouter::Units::synchronize_routes($now) if @units;
    return (LabRouter::Tree::clone($candidate), 0, $text) unless @failed;
    return ($now, 1, join '', $text, @failed, "Commit failed\n");
}

# VyOS answers a failing system command with a crash report and a traceback instead of a tidy message.
sub crash_report {
    my ($error, @path) = @_;
    my $script = join '_', @path[0 .. ($#path < 1 ? $#path : 1)];
    return <<"END";
VyOS had an issue completing a command.

Report time:      the lab router keeps no reports
Image version:    VyOS-compatible lab router 1.4.1
Release train:    sagitta

Traceback (most recent call last):
  File "/usr/libexec/vyos/conf_mode/$script.py", line 1, in <module>
    apply(c)
$error
END
}

1;
