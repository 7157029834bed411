# The only module that changes or reads the running system. Commands run as argument lists, never through a shell.
package LabRouter::Kernel;
use strict;

# Runs a program; returns (exit status, standard output and error together).
sub run {
    my (@argv) = @_;
    my $pid = open my $output, '-|';
    return (127, "cannot fork: $!") unless defined $pid;
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        open STDIN,  '<',  '/dev/null';
        exec { $argv[0] } @argv or print "$argv[0]: $!\n";
        # Leaves without running the parent's END blocks and buffers.
        kill 9, $$;
    }
    local $/;
    my $text = <$output>;
    close $output;
    return ($? ? ($? >> 8 || 1) : 0, defined $text ? $text : '');
}

# Runs a program that must succeed; dies with its words.
sub must {
    my (@argv) = @_;
    my ($status, $text) = run(@argv);
    chomp $text;
    die "noteworthy:\ncmd '@argv'\nreturned (out): $text\nexit code: $status\n" if $status;
    return $text;
}

sub read_text {
    my ($path) = @_;
    open my $file, '<', $path or return;
    local $/;
    my $text = <$file>;
    close $file;
    return $text;
}

sub read_line {
    my $text = read_text(@_);
    return unless defined $text;
    $text =~ s/\s+\z//;
    return $text;
}

# Replaces a whole file at once; `mode` as in chmod(2).
sub write_file {
    my ($path, $text, $mode, $uid, $gid) = @_;
    my $draft = "$path.new";
    unlink $draft;
    my $mask = umask 077;
    open my $file, '>', $draft or do { umask $mask; die "cannot write $path: $!\n" };
    umask $mask;
    (print {$file} $text) && close $file or die "cannot write $path: $!\n";
    chmod $mode // 0644, $draft;
    chown $uid // 0, $gid // 0, $draft;
    rename $draft, $path or die "cannot write $path: $!\n";
}

# Sets a kernel variable given as in sysctl(8) but with slashes, so that VLAN names (eth0.10) are no separators.
sub sysctl {
    my ($name, $value) = @_;
    open my $file, '>', "/proc/sys/$name" or return;
    print {$file} $value;
    close $file;
    return 1;
}

# An attribute of a link in sysfs, without the cost of a process for each.
sub set_link {
    my ($name, $attribute, $value) = @_;
    open my $file, '>', "/sys/class/net/$name/$attribute" or die "cannot set $attribute of $name: $!\n";
    (print {$file} "$value\n") && close $file or die "cannot set $attribute of $name to $value: $!\n";
}

# IFF_UP (linux/if.h)
my $UP = 0x1;

sub set_up {
    my ($name, $up) = @_;
    my $flags = hex(read_line("/sys/class/net/$name/flags") // 0);
    return if !!($flags & $UP) == !!$up;
    set_link($name, 'flags', sprintf '0x%x', $up ? $flags | $UP : $flags & ~$UP);
}

# Numbers of linux/sockios.h, linux/ethtool.h and bits/socket.h. A feature that the driver has fixed stays as it is.
my ($SIOCETHTOOL, $AF_INET, $SOCK_DGRAM) = (0x8946, 2, 2);
my %ETHTOOL_SET = (sg => 0x19, tso => 0x1f, gso => 0x24, gro => 0x2c);

sub set_offload {
    my ($name, $offload, $on) = @_;
    socket my $socket, $AF_INET, $SOCK_DGRAM, 0 or return;
    my $value   = pack 'LL', $ETHTOOL_SET{$offload}, $on ? 1 : 0;
    my $request = pack 'a16 P x16', $name, $value;
    return ioctl $socket, $SIOCETHTOOL, $request;
}

sub link_exists { return -e "/sys/class/net/$_[0]" }

sub link_names {
    opendir my $directory, '/sys/class/net' or return;
    return sort grep { -l "/sys/class/net/$_" } readdir $directory;
}

# Modules that not every guest needs are loaded when the configuration first needs them: 8021q for one makes the NIC
# ask the host for VLAN filters, which changes what is measured on a guest without VLANs.
sub need_module {
    my ($name, $sign) = @_;
    return if -e $sign;
    my ($status, $text) = run('/sbin/modprobe', $name);
    die "cannot load the module $name: $text\n" if $status && !-e $sign;
}

sub addresses {
    my ($status, $text) = run('/sbin/ip', '-o', 'address', 'show');
    my %addresses;
    for my $line (split /\n/, $text) {
        my ($name, $address, $scope) = $line =~ /\A\d+:\s+(\S+)\s+inet6?\s+(\S+).*?\bscope\s+(\S+)/ or next;
        push @{ $addresses{$name} }, $address if $scope ne 'link';
    }
    return \%addresses;
}

1;
