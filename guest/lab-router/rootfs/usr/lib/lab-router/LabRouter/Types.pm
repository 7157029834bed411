# The value types of the configuration. A check returns nothing for a good value, else the lines that VyOS prints
# between the refused command and "Value validation failed".
package LabRouter::Types;
use strict;

# Splits "ADDRESS/LENGTH"; returns (family 4 or 6, address, length) or nothing.
sub split_prefix {
    my ($text) = @_;
    my ($address, $length) = $text =~ m{\A([0-9A-Fa-f:.]+)/(0|[1-9][0-9]{0,2})\z} or return;
    my $family = family_of($address) or return;
    return if $length > ($family == 4 ? 32 : 128);
    return ($family, $address, $length);
}

sub family_of {
    my ($text) = @_;
    my $bits = address_bits($text);
    return defined $bits ? (length $bits == 32 ? 4 : 6) : undef;
}

# The 32 or 128 bits of an address as a string of 0 and 1; undef if the text is none. Written out because loading
# Perl's Socket module would take longer than the whole rest of the boot configuration.
sub address_bits {
    my ($text) = @_;
    return _ipv6_bits($text) if $text =~ /:/;
    my @bytes = split /\./, $text, -1;
    return undef if @bytes != 4 || grep { !/\A(?:0|[1-9][0-9]{0,2})\z/ || $_ > 255 } @bytes;
    return unpack 'B32', pack 'C4', @bytes;
}

# RFC 4291 section 2.2: eight groups, one run of zeros as "::", the last 32 bits perhaps as an IPv4 address.
sub _ipv6_bits {
    my ($text) = @_;
    return undef if length $text > 45 || $text !~ /\A[0-9A-Fa-f:.]+\z/ || $text =~ /:::/;
    my @halves = split /::/, $text, -1;
    return undef if @halves > 2;
    my @groups = map { [ split /:/, $_, -1 ] } @halves;
    my $last = $groups[-1];
    if (@$last && $last->[-1] =~ /\./) {
        my $bits = address_bits(pop @$last);
        return undef unless defined $bits;
        push @$last, map { sprintf '%x', oct "0b$_" } substr($bits, 0, 16), substr($bits, 16);
    }
    return undef if grep { !/\A[0-9A-Fa-f]{1,4}\z/ } map { @$_ } @groups;
    my $count = 0;
    $count += @$_ for @groups;
    return undef if @halves == 2 ? $count > 7 : $count != 8;
    splice @groups, 1, 0, [ (0) x (8 - $count) ] if @halves == 2;
    return unpack 'B128', pack 'n8', map { hex } map { @$_ } @groups;
}

# True if every bit after the prefix is 0, so that the text names a network and not a host in it.
sub is_network {
    my ($address, $length) = @_;
    return substr(address_bits($address), $length) !~ /1/;
}

sub _host_prefix {
    my ($value) = @_;
    return ("$value needs a DHCP client, which the lab router does not have") if $value eq 'dhcp' or $value eq 'dhcpv6';
    my ($family, $address, $length) = split_prefix($value);
    # A network's own address cannot be a host of it, except where the prefix leaves no room for one (RFC 3021).
    my $is_host = $family && !($family == 4 && $length < 31 && is_network($address, $length));
    return if $is_host;
    # One empty line for each further validator that had nothing to say (measured on VyOS 1.4.1).
    return ("Error: $value is not a valid IP host", '', '', '', 'Invalid value');
}

sub _pattern {
    my ($pattern, $message) = @_;
    return sub { $_[0] =~ $pattern ? () : ($message) };
}

sub _number {
    my ($low, $high, $message) = @_;
    return sub {
        my ($value) = @_;
        return if $value =~ /\A(?:0|[1-9][0-9]{0,8})\z/ and $value >= $low and $value <= $high;
        return ($message);
    };
}

sub _ip {
    my ($wanted, $message) = @_;
    return sub {
        my $family = family_of($_[0]) // 0;
        return if $wanted ? $family == $wanted : $family;
        return ($message);
    };
}

sub _network {
    my ($wanted, $message) = @_;
    return sub {
        my ($family, $address, $length) = split_prefix($_[0]);
        return if $family && $family == $wanted && is_network($address, $length);
        return ($message);
    };
}

my %CHECKS = (
    'host-prefix'   => \&_host_prefix,
    'ethernet-name' => _pattern(qr/\Aeth(?:0|[1-9][0-9]{0,3})\z/, 'Invalid Ethernet interface name'),
    'bridge-name'   => _pattern(qr/\Abr(?:0|[1-9][0-9]{0,4})\z/, 'Bridge interface must be named brN'),
    'tunnel-name'   => _pattern(qr/\Atun(?:0|[1-9][0-9]{0,4})\z/, 'Tunnel interface must be named tunN'),
    'loopback-name' => _pattern(qr/\Alo\z/, 'Loopback interface must be named lo'),
    'interface-name' => _pattern(qr/\A(?:eth(?:0|[1-9][0-9]{0,3})(?:\.(?:0|[1-9][0-9]{0,3}))?|br(?:0|[1-9][0-9]{0,4})|tun(?:0|[1-9][0-9]{0,4})|lo)\z/, 'Invalid interface name'),
    'member-name' => _pattern(qr/\Aeth(?:0|[1-9][0-9]{0,3})(?:\.(?:0|[1-9][0-9]{0,3}))?\z/, 'Invalid interface name'),
    'vlan-id'     => _number(0, 4094, 'VLAN ID must be between 0 and 4094'),
    'mtu'         => _number(68, 16000, 'MTU must be between 68 and 16000'),
    'bridge-age'  => _number(10, 1000000, 'Invalid value'),
    'forwarding-delay' => _number(0, 200, 'Forwarding delay must be between 0 and 200 seconds'),
    'description' => _pattern(qr/\A[^\x00-\x1f\x7f]{0,255}\z/, 'Description too long (limit 256 characters)'),
    'mac'         => sub {
        my ($value) = @_;
        return ('Invalid MAC address') unless $value =~ /\A[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}\z/;
        # The group bit makes it a multicast address, which no interface may own (IEEE 802).
        return ("$value is a multicast MAC address") if hex(substr $value, 0, 2) & 1;
        return;
    },
    'ip'           => _ip(0, 'Invalid value'),
    'ipv4'         => _ip(4, 'Invalid value'),
    'ipv6'         => _ip(6, 'Invalid value'),
    'ipv4-network' => _network(4, 'Invalid value'),
    'ipv6-network' => _network(6, 'Invalid value'),
    'encapsulation' => _pattern(qr/\Aipip6\z/, 'Invalid encapsulation (the lab router has ipip6 only)'),
    'encaplimit'   => sub {
        my ($value) = @_;
        return if $value eq 'none' or ($value =~ /\A(?:0|[1-9][0-9]{0,2})\z/ and $value <= 255);
        return ('Tunnel encaplimit must be 0-255 or none');
    },
    'hoplimit'  => _number(0, 255, 'hoplimit must be between 0 and 255'),
    'host-name' => _pattern(qr/\A[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\z/, 'Invalid host-name'),
    'port'      => _number(1, 65535, 'Port number must be in range 1 to 65535'),
    'user-name' => _pattern(qr/\Avyos\z/, 'Invalid user name (the lab router has the user vyos only)'),
    'encrypted-password' => _pattern(qr{\A(?:\$[0-9a-z]{1,4}\$[A-Za-z0-9./\$=,]{1,200}|[*!])\z}, 'Invalid encrypted password'),
    'plaintext-password' => _pattern(qr/\A[^\x00-\x1f\x7f]{0,128}\z/, 'Invalid password'),
    'key-name' => _pattern(qr/\A[A-Za-z0-9_.\@-]{1,100}\z/, 'Invalid key identifier'),
    'key-type' => _pattern(qr/\A(?:ssh-rsa|ssh-ed25519|ecdsa-sha2-nistp(?:256|384|521))\z/, 'Invalid public key type'),
    'key'      => _pattern(qr{\A[A-Za-z0-9+/]{16,8000}={0,2}\z}, 'Invalid public key'),
    'api-key-name' => _pattern(qr/\A[A-Za-z0-9_.-]{1,64}\z/, 'Invalid value'),
    'api-key'      => _pattern(qr/\A[\x21-\x7e]{1,512}\z/, 'Invalid value'),
    'console-device' => _pattern(qr/\AttyS0\z/, 'Invalid console device (the lab router has ttyS0 only)'),
    'console-speed'  => _pattern(qr/\A115200\z/, 'Invalid speed (the lab router has 115200 only)'),
    'distance' => _number(1, 255, 'Distance must be between 1 and 255'),
);

# The lines that say what is wrong with the value; none if it is good.
sub complaints {
    my ($type, $value) = @_;
    my $check = $CHECKS{$type} or die "no value type $type";
    return $check->($value);
}

1;
