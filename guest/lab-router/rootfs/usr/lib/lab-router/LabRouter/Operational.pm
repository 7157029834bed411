# The operational commands: text out of the system's state and the active configuration.
package LabRouter::Operational;
use strict;
use LabRouter::Commands;
use LabRouter::Kernel;
use LabRouter::Schema;
use LabRouter::Tree;

sub show {
    my ($active, @words) = @_;
    my $what = shift @words // '';
    return version()            if $what eq 'version'    && !@words;
    return interfaces($active)  if $what eq 'interfaces' && !@words;
    return configuration($active, @words) if $what eq 'configuration';
    return route($1 eq 'ip' ? '-4' : '-6') if "$what @words" =~ /\A(ip|ipv6) route\z/;
    return (1, LabRouter::Commands::framed("Invalid command: [show " . join(' ', grep { length } $what, @words) . ']'));
}

sub version {
    my $vendor  = LabRouter::Kernel::read_line('/sys/class/dmi/id/sys_vendor')   // '';
    my $model   = LabRouter::Kernel::read_line('/sys/class/dmi/id/product_name') // '';
    my $serial  = LabRouter::Kernel::read_line('/sys/class/dmi/id/product_serial') // '';
    my $uuid    = LabRouter::Kernel::read_line('/sys/class/dmi/id/product_uuid') // '';
    my $guest   = $vendor =~ /QEMU/ || $model =~ /Standard PC|KVM/ ? 'QEMU guest' : 'guest';
    my $machine = LabRouter::Kernel::read_line('/proc/sys/kernel/arch') // 'x86_64';
    return (0, <<"END");
Version:          VyOS 1.4.1-lab-router (not VyOS: the VyOS-compatible lab router)
Release train:    sagitta
Release flavor:   lab-router

Built by:         vmr image build lab
Built on:         from Debian packages, reproducibly
Build UUID:       00000000-0000-4000-8000-000000000000
Build commit ID:  lab-router

Architecture:     $machine
Boot via:         initramfs
System type:      $guest

Hardware vendor:  $vendor
Hardware model:   $model
Hardware S/N:     $serial
Hardware UUID:    $uuid

Copyright:        the vmr authors; packages by the Debian project
END
}

sub configuration {
    my ($active, @words) = @_;
    return (0, join '', map { "$_\n" } LabRouter::Tree::commands($active)) if "@words" eq 'commands';
    return (1, LabRouter::Commands::framed("Invalid command: [show configuration @words]")) if @words;
    return (0, join '', map { "$_\n" } LabRouter::Tree::braced($active, LabRouter::Schema::root()));
}

sub route {
    my ($family) = @_;
    my ($status, $text) = LabRouter::Kernel::run('/sbin/ip', $family, 'route', 'show');
    return ($status, $text);
}

# Columns as wide as their widest cell, and at least two wider than their heading.
sub table {
    my ($headings, $right, @rows) = @_;
    my @widths;
    for my $column (0 .. $#$headings) {
        my $width = 2 + length $headings->[$column];
        for my $row (@rows) {
            for my $line (split /\n/, $row->[$column] // '') {
                $width = length $line if length $line > $width;
            }
        }
        push @widths, $width;
    }
    my $print = sub {
        my @cells = @_;
        my $line = join '  ', map { sprintf $right->{$_} ? '%*s' : '%-*s', $widths[$_], $cells[$_] // '' } 0 .. $#widths;
        $line =~ s/\s+\z//;
        return "$line\n";
    };
    my $text = $print->(@$headings) . join('  ', map { '-' x $_ } @widths) . "\n";
    for my $row (@rows) {
        my @columns = map { [ split /\n/, $_ // '' ] } @$row;
        my $height = 1;
        for my $column (@columns) { $height = @$column if @$column > $height }
        for my $line (0 .. $height - 1) { $text .= $print->(map { $_->[$line] } @columns) }
    }
    return $text;
}

sub interfaces {
    my ($active) = @_;
    my $addresses = LabRouter::Kernel::addresses();
    my @rows;
    for my $name (sort { _natural($a) cmp _natural($b) } LabRouter::Kernel::link_names()) {
        # The kernel's own fallback devices of a tunnel module are nobody's interfaces.
        next if $name =~ /\A(?:ip6tnl0|tunl0|sit0)\z/;
        my $directory = "/sys/class/net/$name";
        my $flags     = hex(LabRouter::Kernel::read_line("$directory/flags") // 0);
        my $admin     = $flags & 0x1 ? 'u' : 'A';
        my $carrier   = $admin eq 'u' ? LabRouter::Kernel::read_line("$directory/carrier") // '0' : '0';
        my $description = LabRouter::Kernel::read_line("$directory/ifalias") // '';
        push @rows, [
            $name,
            join("\n", @{ $addresses->{$name} || ['-'] }),
            LabRouter::Kernel::read_line("$directory/address") // '',
            'default',
            LabRouter::Kernel::read_line("$directory/mtu") // '',
            "$admin/" . ($carrier eq '1' ? 'u' : 'D'),
            $description,
        ];
    }
    return (0, "Codes: S - State, L - Link, u - Up, D - Down, A - Admin Down\n"
        . table([ 'Interface', 'IP Address', 'MAC', 'VRF', 'MTU', 'S/L', 'Description' ], { 4 => 1 }, @rows));
}

sub _natural {
    my ($name) = @_;
    $name =~ s/([0-9]+)/sprintf '%012d', $1/ge;
    return $name;
}

1;
