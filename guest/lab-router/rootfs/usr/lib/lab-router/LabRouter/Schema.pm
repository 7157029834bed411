# What may be configured: a strict subset of VyOS 1.4's tree. A word stands here only if committing it does to the
# kernel what VyOS would do; everything else is refused as "not valid".
package LabRouter::Schema;
use strict;

sub node { return { kind => 'node', children => {@_} } }
sub tag  { my ($type, %children) = @_; return { kind => 'tag', type => $type, children => \%children } }
sub leaf { my ($type) = @_; return { kind => 'leaf', type => $type } }
sub list { my ($type) = @_; return { kind => 'leaf', type => $type, multi => 1 } }
sub flag { return { kind => 'flag' } }

my %link = (
    address     => list('host-prefix'),
    description => leaf('description'),
    disable     => flag(),
    mac         => leaf('mac'),
    mtu         => leaf('mtu'),
);
my %next_hops = (
    'next-hop' => tag('ipv4', distance => leaf('distance'), interface => leaf('interface-name')),
    interface  => tag('interface-name', distance => leaf('distance')),
);
my %next_hops6 = (%next_hops, 'next-hop' => tag('ipv6', distance => leaf('distance'), interface => leaf('interface-name')));

my $ROOT = node(
    interfaces => node(
        bridge => tag(
            'bridge-name', %link,
            aging              => leaf('bridge-age'),
            'forwarding-delay' => leaf('forwarding-delay'),
            igmp               => node(querier => flag(), snooping => flag()),
            member             => node(interface => tag('member-name')),
            stp                => flag(),
        ),
        ethernet => tag(
            'ethernet-name', %link,
            'hw-id' => leaf('mac'),
            offload => node(gro => flag(), gso => flag(), sg => flag(), tso => flag()),
            vif     => tag('vlan-id', %link),
        ),
        loopback => tag('loopback-name', address => list('host-prefix'), description => leaf('description')),
        tunnel   => tag(
            'tunnel-name',
            address          => list('host-prefix'),
            description      => leaf('description'),
            disable          => flag(),
            encapsulation    => leaf('encapsulation'),
            mtu              => leaf('mtu'),
            parameters       => node(ipv6 => node(encaplimit => leaf('encaplimit'), hoplimit => leaf('hoplimit'))),
            remote           => leaf('ip'),
            'source-address' => leaf('ip'),
        ),
    ),
    protocols => node(
        static => node(route => tag('ipv4-network', %next_hops), route6 => tag('ipv6-network', %next_hops6)),
    ),
    service => node(
        https => node(
            api              => node(keys => node(id => tag('api-key-name', key => leaf('api-key')))),
            'listen-address' => list('ip'),
            port             => leaf('port'),
        ),
        ssh => node(
            'disable-password-authentication' => flag(),
            'listen-address'                  => list('ip'),
            port                              => list('port'),
        ),
    ),
    system => node(
        console     => node(device => tag('console-device', speed => leaf('console-speed'))),
        'host-name' => leaf('host-name'),
        ip          => node('disable-forwarding' => flag()),
        ipv6        => node('disable-forwarding' => flag()),
        login       => node(
            user => tag(
                'user-name',
                authentication => node(
                    'encrypted-password' => leaf('encrypted-password'),
                    'plaintext-password' => leaf('plaintext-password'),
                    'public-keys'        => tag('key-name', key => leaf('key'), type => leaf('key-type')),
                ),
            ),
        ),
    ),
);

sub root { return $ROOT }

# The schema below one word of a path: a tag's and a leaf's next word is a value, and what follows a value is the
# tag's children (nothing, for a leaf).
sub value_schema {
    my ($schema) = @_;
    return { kind => 'node', children => $schema->{kind} eq 'tag' ? $schema->{children} : {} };
}

sub takes_value {
    my ($schema) = @_;
    return $schema->{kind} eq 'tag' || $schema->{kind} eq 'leaf';
}

# Resolves the words of a path, completing unique prefixes of node names as VyOS does. Returns a hash: `words` (full
# names), `schema` (where the path ends), and either nothing more or `problem`: 'invalid', 'ambiguous' (with `at`, the
# index of the word, and `candidates`), 'value' (with `at` and `lines`).
sub resolve {
    my (@given) = @_;
    my $schema = root();
    my @words;
    for my $index (0 .. $#given) {
        my $word = $given[$index];
        if (takes_value($schema)) {
            my @lines = LabRouter::Types::complaints($schema->{type}, $word);
            return { words => [@words, @given[$index .. $#given]], problem => 'value', at => $index, lines => \@lines } if @lines;
            push @words, $word;
            $schema = value_schema($schema);
            next;
        }
        my $children = $schema->{children} || {};
        my @candidates = exists $children->{$word} ? ($word) : sort grep { length $word and index($_, $word) == 0 } keys %$children;
        if (@candidates != 1) {
            my $problem = @candidates ? 'ambiguous' : 'invalid';
            return { words => [@words, @given[$index .. $#given]], problem => $problem, at => $index, candidates => \@candidates };
        }
        push @words, $candidates[0];
        $schema = $children->{$candidates[0]};
    }
    return { words => \@words, schema => $schema };
}

require LabRouter::Types;
1;
