# The parts of the configuration that are applied or refused each on its own, as VyOS's commit does with its
# configuration-mode scripts: how each is checked, and how it is applied.
package LabRouter::Units;
use strict;
use LabRouter::Kernel;
use LabRouter::Tree;
use LabRouter::Types;

# In the order in which new things need each other: links before bridges over them, addresses before routes through
# them. Removal goes the other way.
my @KINDS = (
    { path => ['system', 'host-name'],          verify => \&_nothing,         apply => \&_apply_host_name },
    { path => ['system', 'console'],            verify => \&_nothing,         apply => \&_nothing },
    { path => ['system', 'login'],              verify => \&_verify_login,    apply => \&_apply_login },
    { path => ['system', 'ip'],                 verify => \&_nothing,         apply => \&_apply_ip },
    { path => ['system', 'ipv6'],               verify => \&_nothing,         apply => \&_apply_ipv6 },
    { path => ['interfaces', 'loopback'], tag => 1, verify => \&_verify_link, apply => \&_apply_loopback },
    { path => ['interfaces', 'ethernet'], tag => 1, verify => \&_verify_ethernet, apply => \&_apply_ethernet },
    { path => ['interfaces', 'tunnel'],   tag => 1, verify => \&_verify_tunnel,   apply => \&_apply_tunnel },
    { path => ['interfaces', 'bridge'],   tag => 1, verify => \&_verify_bridge,   apply => \&_apply_bridge },
    { path => ['protocols', 'static'],          verify => \&_nothing,         apply => \&_apply_static },
    { path => ['service', 'ssh'],               verify => \&_nothing,         apply => \&_apply_ssh },
    { path => ['service', 'https'],             verify => \&_verify_https,    apply => \&_apply_https },
);

# What VyOS sets in the kernel before it looks at the configuration.
my @DEFAULTS = (
    [ 'net/ipv4/conf/all/forwarding',           1 ],
    [ 'net/ipv6/conf/all/forwarding',           1 ],
    [ 'net/ipv4/conf/all/rp_filter',            0 ],
    [ 'net/ipv4/conf/default/rp_filter',        0 ],
    [ 'net/ipv6/conf/all/accept_redirects',     0 ],
    [ 'net/ipv6/conf/default/accept_redirects', 0 ],
    [ 'net/ipv6/conf/all/keep_addr_on_down',    1 ],
    [ 'net/ipv6/conf/default/autoconf',         0 ],
    # ping for everybody (systemd's default, which VyOS has).
    [ 'net/ipv4/ping_group_range', '0 2147483647' ],
);

sub apply_defaults {
    LabRouter::Kernel::sysctl(@$_) for @DEFAULTS;
}

# The units in which two configurations differ, in the order to work on them.
sub changed {
    my ($active, $candidate) = @_;
    my (@removed, @others);
    for my $kind (@KINDS) {
        my @paths = ($kind->{path});
        if ($kind->{tag}) {
            my %seen;
            my @names = grep { !$seen{$_}++ } map { LabRouter::Tree::names_at($_, @{ $kind->{path} }) } $active, $candidate;
            @paths = map { [@{ $kind->{path} }, $_] } sort @names;
        }
        for my $path (@paths) {
            my ($old, $new) = map { LabRouter::Tree::get($_, @$path) } $active, $candidate;
            next unless $old || $new;
            next if $old && $new && LabRouter::Tree::same_part($old, $new);
            my $unit = { kind => $kind, path => $path };
            if   ($new) { push @others,     $unit }
            else        { unshift @removed, $unit }
        }
    }
    return (@removed, @others);
}

# What speaks against applying this unit of $candidate, in VyOS's words; nothing if all is well.
sub complaint {
    my ($unit, $active, $candidate) = @_;
    return $unit->{kind}{verify}->($active, $candidate, @{ $unit->{path} });
}

# Brings the system from $active to $candidate in this unit. Dies if the kernel refuses.
sub apply {
    my ($unit, $active, $candidate) = @_;
    $unit->{kind}{apply}->($active, $candidate, @{ $unit->{path} });
}

sub _nothing { return }

# --- checks -----------------------------------------------------------------------------------------------------------

sub _bridge_of {
    my ($config, $name) = @_;
    my @bridges = LabRouter::Tree::names_at($config, 'interfaces', 'bridge');
    return (grep { LabRouter::Tree::exists_at($config, 'interfaces', 'bridge', $_, 'member', 'interface', $name) } @bridges)[0];
}

sub _verify_link {
    my ($active, $candidate, @path) = @_;
    my $link = LabRouter::Tree::get($candidate, @path) or return;
    my $name = $path[-2] eq 'vif' ? "$path[-3].$path[-1]" : $path[-1];
    my @addresses = LabRouter::Tree::names_at($link, 'address');
    my $bridge    = _bridge_of($candidate, $name);
    return qq(Cannot assign address to interface "$name" as it is a member of bridge "$bridge"!) if @addresses && $bridge;
    my $mtu = LabRouter::Tree::value_at($link, 'mtu');
    # RFC 8200 section 5
    if (defined $mtu && $mtu < 1280 && grep { /:/ } @addresses) {
        return qq(IPv6 address will be configured on interface "$name",\nthe required minimum MTU is 1280!);
    }
    return;
}

sub _verify_ethernet {
    my ($active, $candidate, @path) = @_;
    my $name  = $path[-1];
    my $new   = LabRouter::Tree::get($candidate, @path);
    my @vifs  = $new ? LabRouter::Tree::names_at($new, 'vif') : ();
    my %stays = map { $_ => 1 } @vifs;
    for my $vif (grep { !$stays{$_} } LabRouter::Tree::names_at($active, @path, 'vif')) {
        my $bridge = _bridge_of($candidate, "$name.$vif");
        return qq(Interface "$name.$vif" cannot be deleted as it is a member of bridge "$bridge"!) if $bridge;
    }
    return unless $new;
    my $complaint = _verify_link($active, $candidate, @path);
    return $complaint if defined $complaint;
    my $mtu = LabRouter::Tree::value_at($new, 'mtu') // 1500;
    for my $vif (@vifs) {
        $complaint = _verify_link($active, $candidate, @path, 'vif', $vif);
        return $complaint if defined $complaint;
        my $vif_mtu = LabRouter::Tree::value_at($new, 'vif', $vif, 'mtu') // 1500;
        return qq(Interface MTU "$vif_mtu" of VLAN $vif is larger than that of its parent "$name"!)
            if LabRouter::Tree::exists_at($new, 'vif', $vif, 'mtu') && $vif_mtu > $mtu;
    }
    return;
}

sub _verify_tunnel {
    my ($active, $candidate, @path) = @_;
    my $tunnel = LabRouter::Tree::get($candidate, @path) or return;
    my ($encapsulation, $source, $remote) =
        map { scalar LabRouter::Tree::value_at($tunnel, $_) } qw(encapsulation source-address remote);
    return "Must configure the tunnel encapsulation for $path[-1]!" unless defined $encapsulation;
    return 'source-address or source-interface required for tunnel!' unless defined $source;
    return 'remote ip address is mandatory for tunnel'               unless defined $remote;
    return 'Encapsulation mode requires IPv6 source-address' if LabRouter::Types::family_of($source) != 6;
    return 'Encapsulation mode requires IPv6 remote'         if LabRouter::Types::family_of($remote) != 6;
    return _verify_link($active, $candidate, @path);
}

sub _is_configured {
    my ($config, $name) = @_;
    return LabRouter::Tree::exists_at($config, 'interfaces', 'ethernet', $1, 'vif', $2) if $name =~ /\A(eth\d+)\.(\d+)\z/;
    return LabRouter::Kernel::link_exists($name);
}

sub _verify_bridge {
    my ($active, $candidate, @path) = @_;
    my $bridge = LabRouter::Tree::get($candidate, @path) or return;
    for my $member (LabRouter::Tree::names_at($bridge, 'member', 'interface')) {
        my $words = qq(Cannot add interface "$member" to bridge, );
        return "${words}it does not exist!" unless _is_configured($candidate, $member);
        my @at = $member =~ /\A(eth\d+)\.(\d+)\z/ ? ('interfaces', 'ethernet', $1, 'vif', $2) : ('interfaces', 'ethernet', $member);
        return "${words}it has an address assigned!" if LabRouter::Tree::names_at($candidate, @at, 'address');
        for my $other (LabRouter::Tree::names_at($candidate, 'interfaces', 'bridge')) {
            next if $other eq $path[-1];
            return qq(${words}it is already a member of bridge "$other"!)
                if LabRouter::Tree::exists_at($candidate, 'interfaces', 'bridge', $other, 'member', 'interface', $member);
        }
    }
    return _verify_link($active, $candidate, @path);
}

sub _verify_login {
    my ($active, $candidate) = @_;
    my @at = ('system', 'login', 'user', 'vyos');
    return 'User "vyos" cannot be deleted: the lab router has no other!' unless LabRouter::Tree::exists_at($candidate, @at);
    for my $key (LabRouter::Tree::names_at($candidate, @at, 'authentication', 'public-keys')) {
        for my $part ('type', 'key') {
            next if LabRouter::Tree::exists_at($candidate, @at, 'authentication', 'public-keys', $key, $part);
            return $part eq 'type' ? qq(Missing type for public-key "$key"!) : qq(Missing key for public-key "$key"!);
        }
    }
    return;
}

# --- links ------------------------------------------------------------------------------------------------------------

sub _ip { LabRouter::Kernel::must('/sbin/ip', @_) }

sub _family_option { return $_[0] =~ /:/ ? '-6' : '-4' }

sub _change_addresses {
    my ($name, $old, $new) = @_;
    my @old = $old ? LabRouter::Tree::names_at($old, 'address') : ();
    my @new = $new ? LabRouter::Tree::names_at($new, 'address') : ();
    my (%had, %has);
    @had{@old} = @has{@new} = ();
    # An address that somebody took away by hand is gone already.
    LabRouter::Kernel::run('/sbin/ip', _family_option($_), 'address', 'del', $_, 'dev', $name) for grep { !exists $has{$_} } @old;
    for my $address (grep { !exists $had{$_} } @new) {
        _ip(_family_option($address), 'address', 'replace', $address, $address =~ /:/ ? () : ('broadcast', '+'), 'dev', $name);
    }
}

sub _value {
    my ($part, @path) = @_;
    return $part ? scalar LabRouter::Tree::value_at($part, @path) : undef;
}

sub _has {
    my ($part, @path) = @_;
    return $part && LabRouter::Tree::exists_at($part, @path) ? 1 : 0;
}

sub _differs {
    my ($old, $new, @path) = @_;
    return (_value($old, @path) // '') ne (_value($new, @path) // '');
}

# What every kind of link has: MTU, MAC, description, up or down, addresses. `$mtu` is the MTU without configuration.
sub _change_link {
    my ($name, $old, $new, $mtu) = @_;
    if (_differs($old, $new, 'mac')) {
        my $former = "/run/vyos-config/mac/$name";
        LabRouter::Kernel::write_file($former, LabRouter::Kernel::read_text("/sys/class/net/$name/address")) unless -e $former;
        _ip('link', 'set', 'dev', $name, 'address', _value($new, 'mac') // LabRouter::Kernel::read_line($former));
    }
    my $wanted = _value($new, 'mtu') // $mtu;
    my $is     = LabRouter::Kernel::read_line("/sys/class/net/$name/mtu");
    LabRouter::Kernel::set_link($name, 'mtu', $wanted) if $wanted != ($is // 0);
    LabRouter::Kernel::set_link($name, 'ifalias', _value($new, 'description') // '') if _differs($old, $new, 'description');
    # VyOS answers ARP only on the interface that routes to the asker, and takes no address from advertisements.
    LabRouter::Kernel::sysctl("net/ipv4/conf/$name/arp_filter", 1);
    LabRouter::Kernel::sysctl("net/ipv6/conf/$name/autoconf", 0);
    LabRouter::Kernel::set_up($name, !_has($new, 'disable'));
    _change_addresses($name, $old, $new);
}

sub _apply_loopback {
    my ($active, $candidate, @path) = @_;
    my ($old, $new) = map { LabRouter::Tree::get($_, @path) } $active, $candidate;
    LabRouter::Kernel::set_link('lo', 'ifalias', _value($new, 'description') // '') if _differs($old, $new, 'description');
    _change_addresses('lo', $old, $new);
}

sub _missing_link {
    my ($name) = @_;
    die "FileNotFoundError: [Errno 2] No such file or directory: '/sys/class/net/$name/device'\n";
}

sub _apply_ethernet {
    my ($active, $candidate, @path) = @_;
    my $name = $path[-1];
    my ($old, $new) = map { LabRouter::Tree::get($_, @path) } $active, $candidate;
    if (!LabRouter::Kernel::link_exists($name)) {
        # A NIC that was pulled out: nothing to take back, but its configuration may go.
        return unless $new;
        _missing_link($name);
    }
    my %stays = map { $_ => 1 } $new ? LabRouter::Tree::names_at($new, 'vif') : ();
    for my $vif ($old ? LabRouter::Tree::names_at($old, 'vif') : ()) {
        LabRouter::Kernel::run('/sbin/ip', 'link', 'del', 'dev', "$name.$vif") unless $stays{$vif};
    }
    _change_link($name, $old, $new, 1500);
    _change_offloads($name, $new);
    _apply_vif($name, $_, $old, $new) for $new ? LabRouter::Tree::names_at($new, 'vif') : ();
}

# VyOS switches off every offload that its configuration does not name. Scatter-gather goes on first, since the others
# need it.
sub _change_offloads {
    my ($name, $new) = @_;
    LabRouter::Kernel::set_offload($name, $_, _has($new, 'offload', $_)) for qw(sg tso gso gro);
}

sub _apply_vif {
    my ($parent, $id, $old_parent, $new_parent) = @_;
    my $name = "$parent.$id";
    my ($old, $new) = map { $_ ? LabRouter::Tree::get($_, 'vif', $id) : undef } $old_parent, $new_parent;
    if (!LabRouter::Kernel::link_exists($name)) {
        LabRouter::Kernel::need_module('8021q', '/proc/net/vlan');
        _ip('link', 'add', 'link', $parent, 'name', $name, 'type', 'vlan', 'id', $id);
        $old = undef;
    }
    my $parent_mtu = LabRouter::Kernel::read_line("/sys/class/net/$parent/mtu") // 1500;
    _change_link($name, $old, $new, $parent_mtu < 1500 ? $parent_mtu : 1500);
}

sub _apply_tunnel {
    my ($active, $candidate, @path) = @_;
    my $name = $path[-1];
    my ($old, $new) = map { LabRouter::Tree::get($_, @path) } $active, $candidate;
    my @parameters = (
        [qw(encapsulation)], [qw(source-address)], [qw(remote)],
        [qw(parameters ipv6 encaplimit)], [qw(parameters ipv6 hoplimit)],
    );
    # The kernel cannot change every parameter of a live tunnel: one that differs means a new tunnel.
    if (LabRouter::Kernel::link_exists($name) && (!$new || grep { _differs($old, $new, @$_) } @parameters)) {
        _ip('link', 'del', 'dev', $name);
        $old = undef;
    }
    return unless $new;
    if (!LabRouter::Kernel::link_exists($name)) {
        LabRouter::Kernel::need_module('ip6_tunnel', '/sys/module/ip6_tunnel');
        _ip('link', 'add', 'name', $name, 'type', 'ip6tnl', 'mode', 'ipip6',
            'local',      _value($new, 'source-address'),
            'remote',     _value($new, 'remote'),
            # VyOS's defaults, which are the kernel's too (RFC 2473 sections 4.1.1 and 6.6).
            'encaplimit', _value($new, qw(parameters ipv6 encaplimit)) // 4,
            'hoplimit',   _value($new, qw(parameters ipv6 hoplimit))   // 64);
        $old = undef;
    }
    # 1500 less the inner IPv4's 24 bytes of GRE: VyOS's own default for every kind of tunnel, too large for ipip6.
    _change_link($name, $old, $new, 1476);
}

# A member has lost its addresses. Without one of link scope the kernel solicits no neighbour for what it forwards
# (ndisc_solicit in net/ipv6/ndisc.c); a changed addr_gen_mode makes it anew, and leaves other addresses alone.
sub _release_member {
    my ($name) = @_;
    LabRouter::Kernel::run('/sbin/ip', 'link', 'set', 'dev', $name, 'nomaster');
    LabRouter::Kernel::sysctl("net/ipv6/conf/$name/addr_gen_mode", $_) for 1, 0;
}

sub _apply_bridge {
    my ($active, $candidate, @path) = @_;
    my $name = $path[-1];
    my ($old, $new) = map { LabRouter::Tree::get($_, @path) } $active, $candidate;
    if (!$new) {
        _release_member($_) for $old ? LabRouter::Tree::names_at($old, 'member', 'interface') : ();
        LabRouter::Kernel::run('/sbin/ip', 'link', 'del', 'dev', $name);
        return;
    }
    if (!LabRouter::Kernel::link_exists($name)) {
        LabRouter::Kernel::need_module('bridge', '/sys/module/bridge');
        _ip('link', 'add', 'name', $name, 'type', 'bridge');
        $old = undef;
    }
    # Times in hundredths of a second (Documentation/networking/bridge); VyOS's defaults.
    _ip('link', 'set', 'dev', $name, 'type', 'bridge',
        'ageing_time',      100 * (_value($new, 'aging') // 300),
        'forward_delay',    100 * (_value($new, 'forwarding-delay') // 14),
        'stp_state',        _has($new, 'stp'),
        'mcast_snooping',   _has($new, 'igmp', 'snooping'),
        'mcast_querier',    _has($new, 'igmp', 'querier'));
    my %stays = map { $_ => 1 } LabRouter::Tree::names_at($new, 'member', 'interface');
    for my $member ($old ? LabRouter::Tree::names_at($old, 'member', 'interface') : ()) {
        _release_member($member) unless $stays{$member};
    }
    for my $member (LabRouter::Tree::names_at($new, 'member', 'interface')) {
        my $master = readlink "/sys/class/net/$member/master";
        next if defined $master && $master =~ m{/\Q$name\E\z};
        _missing_link($member) unless LabRouter::Kernel::link_exists($member);
        # What a bridge port received as its own would never reach the bridge.
        LabRouter::Kernel::run('/sbin/ip', 'address', 'flush', 'dev', $member);
        _ip('link', 'set', 'dev', $member, 'master', $name);
        LabRouter::Kernel::set_up($member, 1);
    }
    _change_link($name, $old, $new, 1500);
}

# --- routes -----------------------------------------------------------------------------------------------------------

sub _routes {
    my ($config) = @_;
    my %routes;
    for my $kind ('route', 'route6') {
        for my $prefix (LabRouter::Tree::names_at($config, 'protocols', 'static', $kind)) {
            my $route = LabRouter::Tree::get($config, 'protocols', 'static', $kind, $prefix);
            my @hops;
            for my $via (LabRouter::Tree::names_at($route, 'next-hop')) {
                my $device = LabRouter::Tree::value_at($route, 'next-hop', $via, 'interface');
                push @hops, [ 'via', $via, defined $device ? ('dev', $device) : () ];
            }
            push @hops, [ 'dev', $_ ] for LabRouter::Tree::names_at($route, 'interface');
            $routes{$prefix} = \@hops;
        }
    }
    return \%routes;
}

# Static routes stand in the kernel only while their next hops resolve, as with VyOS's routing daemon: what cannot be
# installed now is tried again after the next change of a link or an address.
sub synchronize_routes {
    my ($config, $former) = @_;
    my $wanted = _routes($config);
    my $old    = $former ? _routes($former) : {};
    for my $prefix (sort grep { !$wanted->{$_} } keys %$old) {
        LabRouter::Kernel::run('/sbin/ip', _family_option($prefix), 'route', 'del', $prefix, 'proto', 'static', 'metric', '20');
    }
    for my $prefix (sort keys %$wanted) {
        my @hops = @{ $wanted->{$prefix} } or next;
        my @how = @hops == 1 ? @{ $hops[0] } : map { ('nexthop', @$_) } @hops;
        LabRouter::Kernel::run('/sbin/ip', _family_option($prefix), 'route', 'replace', $prefix, 'proto', 'static', 'metric', '20', @how);
    }
}

sub _apply_static {
    my ($active, $candidate) = @_;
    synchronize_routes($candidate, $active);
}

# --- system and services ----------------------------------------------------------------------------------------------

sub _apply_host_name {
    my ($active, $candidate) = @_;
    my $name = LabRouter::Tree::value_at($candidate, 'system', 'host-name') // 'vyos';
    LabRouter::Kernel::write_file('/etc/hostname', "$name\n");
    LabRouter::Kernel::write_file('/etc/hosts', "127.0.0.1 localhost\n127.0.1.1 $name\n::1 localhost ip6-localhost\n");
    LabRouter::Kernel::sysctl('kernel/hostname', $name);
}

sub _apply_ip {
    my ($active, $candidate) = @_;
    my $off = LabRouter::Tree::exists_at($candidate, 'system', 'ip', 'disable-forwarding');
    LabRouter::Kernel::sysctl('net/ipv4/conf/all/forwarding', $off ? 0 : 1);
}

sub _apply_ipv6 {
    my ($active, $candidate) = @_;
    my $off = LabRouter::Tree::exists_at($candidate, 'system', 'ipv6', 'disable-forwarding');
    LabRouter::Kernel::sysctl('net/ipv6/conf/all/forwarding', $off ? 0 : 1);
}

my $SALT = join '', 'a' .. 'z', 'A' .. 'Z', 0 .. 9;

sub _hashed {
    my ($password) = @_;
    open my $random, '<:raw', '/dev/urandom' or die "cannot open /dev/urandom: $!\n";
    read $random, my $bytes, 16;
    my $salt = join '', map { substr $SALT, $_ % length $SALT, 1 } unpack 'C*', $bytes;
    return crypt $password, "\$6\$$salt\$";
}

# A plain password becomes its hash in the configuration itself, so that it is never kept or shown.
sub _apply_login {
    my ($active, $candidate) = @_;
    my @at    = ('system', 'login', 'user', 'vyos', 'authentication');
    my $plain = LabRouter::Tree::value_at($candidate, @at, 'plaintext-password') // '';
    if (length $plain) {
        LabRouter::Tree::set_path($candidate, @at, 'encrypted-password', _hashed($plain));
        LabRouter::Tree::set_path($candidate, @at, 'plaintext-password', '');
    }
    my $hash = LabRouter::Tree::value_at($candidate, @at, 'encrypted-password') // '*';
    LabRouter::Kernel::write_file('/etc/shadow', "root:*:19000::::::\nvyos:$hash:19000::::::\n", 0600);
    my $keys = '';
    for my $name (LabRouter::Tree::names_at($candidate, @at, 'public-keys')) {
        my ($type, $key) = map { LabRouter::Tree::value_at($candidate, @at, 'public-keys', $name, $_) } 'type', 'key';
        $keys .= "$type $key $name\n";
    }
    my ($uid, $gid) = (getpwnam 'vyos')[2, 3];
    my $home = '/home/vyos/.ssh';
    mkdir $home, 0700;
    chown $uid, $gid, $home;
    LabRouter::Kernel::write_file("$home/authorized_keys", $keys, 0600, $uid, $gid);
}

my $SSH_PID = '/run/dropbear.pid';

# Ends a server that left its process number there, and these processes of its.
sub _stop_server {
    my ($pid_file, @others) = @_;
    my ($pid) = (LabRouter::Kernel::read_line($pid_file) // '') =~ /\A([1-9][0-9]*)\z/ or return;
    kill 'TERM', $pid, @others;
    for (1 .. 100) {
        last unless grep { -e "/proc/$_" } $pid, @others;
        select undef, undef, undef, 0.01;
    }
    unlink $pid_file;
}

sub _apply_ssh {
    my ($active, $candidate) = @_;
    # The listening one only: sessions that stand have their own process and live on, as with VyOS.
    _stop_server($SSH_PID);
    return unless LabRouter::Tree::exists_at($candidate, 'service', 'ssh');
    my @ports     = LabRouter::Tree::names_at($candidate, 'service', 'ssh', 'port');
    my @addresses = LabRouter::Tree::names_at($candidate, 'service', 'ssh', 'listen-address');
    my @listen;
    for my $port (@ports ? @ports : 22) {
        push @listen, map { ('-p', /:/ ? "[$_]:$port" : "$_:$port") } @addresses;
        push @listen, '-p', $port unless @addresses;
    }
    my @no_password = LabRouter::Tree::exists_at($candidate, 'service', 'ssh', 'disable-password-authentication') ? ('-s') : ();
    # Runs once the host key is there: it is made in the background after boot.
    LabRouter::Kernel::must('/usr/libexec/lab-router/start-ssh', $SSH_PID, @listen, @no_password);
}

my ($TLS_PID, $API_PID, $API_KEYS) = ('/run/hitch.pid', '/run/http-api.pid', '/run/lab-router/api-keys');

sub _verify_https {
    my ($active, $candidate, @path) = @_;
    return unless LabRouter::Tree::exists_at($candidate, @path, 'api');
    my @ids = LabRouter::Tree::names_at($candidate, @path, 'api', 'keys', 'id');
    for my $id (@ids) {
        return qq(Missing HTTPS API key string for key id "$id")
            unless LabRouter::Tree::exists_at($candidate, @path, 'api', 'keys', 'id', $id, 'key');
    }
    return 'At least one HTTPS API key is required unless GraphQL token authentication is enabled!' unless @ids;
    return;
}

sub _apply_https {
    my ($active, $candidate, @path) = @_;
    # A worker that still listens would take what is meant for the next proxy.
    my $proxy = LabRouter::Kernel::read_line($TLS_PID) // '';
    _stop_server($TLS_PID, split ' ', LabRouter::Kernel::read_line("/proc/$proxy/task/$proxy/children") // '');
    _stop_server($API_PID);
    unlink $API_KEYS;
    return unless LabRouter::Tree::exists_at($candidate, @path);
    my @ids  = (@path, 'api', 'keys', 'id');
    my @keys = map { LabRouter::Tree::value_at($candidate, @ids, $_, 'key') } LabRouter::Tree::names_at($candidate, @ids);
    LabRouter::Kernel::write_file($API_KEYS, join('', map { "$_\n" } @keys), 0600) if @keys;
    my $port      = LabRouter::Tree::value_at($candidate, @path, 'port') // 443;
    my @addresses = LabRouter::Tree::names_at($candidate, @path, 'listen-address');
    LabRouter::Kernel::must('/usr/libexec/lab-router/start-https', map { "[$_]:$port" } @addresses ? @addresses : '*');
}

1;
