import type { DiagnosedVm, Selection } from './diagnosed-vm.ts'

/** A fault that is made for real, and what it is to be called. */
export interface ProducedFault {
  readonly title: string
  /** Id in the catalogue. */
  readonly expected: string
  /** The hop that is to be named. */
  readonly at: RegExp
  readonly selection: Selection
  /** Part of every test run; the others run with VMR_TEST_REPEAT. */
  readonly lean?: true
  make(lab: DiagnosedVm): Promise<unknown>
  undo(lab: DiagnosedVm): Promise<unknown>
}

const inward6: Selection = { family: 'ipv6', direction: 'pc1>r1' }
const inward4: Selection = { family: 'ipv4', direction: 'pc1>r1' }
const through4: Selection = { family: 'ipv4', direction: 'pc1>pc2' }
const through6: Selection = { family: 'ipv6', direction: 'pc1>pc2' }

const tap = ({ taps: [first = ''] }: DiagnosedVm) => first
const link = ({ vm }: DiagnosedVm) => {
  const [first] = vm.testbed.links
  if (first === undefined) throw new RangeError('the testbed has no link')
  return first
}
const guestMac = ({ guest }: DiagnosedVm) => guest('cat /sys/class/net/eth0/address').then((text) => text.trim())

const guestAddresses6 = ['2001:db8:dead:beaf::1', '2001:db8:dead:beaf::5a:3c91', '2001:db8:dead:beaf::c3:a57e']
const giveAddresses6 = guestAddresses6.map((address) => `ip addr replace ${address}/64 dev eth0`).join('; ')

/** The VM is a router, and the PCs know it. */
export async function makeRouter(lab: DiagnosedVm): Promise<void> {
  await lab.guest('sysctl -qw net.ipv4.ip_forward=1; sysctl -qw net.ipv6.conf.all.forwarding=1')
  await lab.pc(
    1,
    'ip route replace 192.168.2.0/24 via 192.168.1.1; ip -6 route replace 2001:db8:dead:cafe::/64 via 2001:db8:dead:beaf::1',
  )
  await lab.pc(
    2,
    'ip route replace 192.168.1.0/24 via 192.168.2.1; ip -6 route replace 2001:db8:dead:beaf::/64 via 2001:db8:dead:cafe::1',
  )
}

/** What a machine runs to send a router solicitation or advertisement (RFC 4861 section 4) by an interface. */
const sendRouterMessage = (on: string, packed: string, times = 1) =>
  `perl -MSocket=:all -e '
    my ($index, $times) = @ARGV;
    socket(my $socket, AF_INET6, SOCK_RAW, 58) or die $!;
    setsockopt($socket, 41, 18, pack("i", 255)) or die $!;
    setsockopt($socket, 41, 17, pack("I", $index)) or die $!;
    my $everybody = pack_sockaddr_in6(0, inet_pton(AF_INET6, "ff02::1"), $index, 0);
    for (1 .. $times) { send($socket, pack(${packed}), 0, $everybody) or die $! }
  ' $(cat /sys/class/net/${on}/ifindex) ${times}`
const solicit = (on: string) => sendRouterMessage(on, '"CCnN", 133, 0, 0, 0')
const advertise = (
  on: string,
  { times = 1, preference = 0, lifetime = 1800 }: { times?: number; preference?: number; lifetime?: number } = {},
) => sendRouterMessage(on, `"CCnCCnNN", 134, 0, 0, 64, ${preference}, ${lifetime}, 0, 0`, times)
const highPreference = 0x08
/** RFC 4861 section 4.2: of who is a router no more. */
const noRouter = 0

/** With the VM on Linux bridges of the host, as a router between the PCs. */
export const onBridge: readonly ProducedFault[] = [
  {
    title: 'a firewall rule of the bridge drops neighbour solicitations',
    expected: 'firewall-drop',
    at: /^host, between .*up1 and vnet/,
    selection: inward6,
    make: (lab) =>
      lab.host(
        `nft 'add table bridge vmrtest; add chain bridge vmrtest f { type filter hook forward priority 0; }; add rule bridge vmrtest f icmpv6 type nd-neighbor-solicit drop'`,
      ),
    undo: (lab) => lab.host('nft delete table bridge vmrtest'),
  },
  {
    title: 'br_netfilter hands the frames to a FORWARD policy of drop',
    expected: 'firewall-drop',
    at: /^host, between .*up1 and vnet/,
    selection: inward6,
    lean: true,
    make: (lab) =>
      lab.host(
        `sysctl -qw net.bridge.bridge-nf-call-ip6tables=1; nft 'add table ip6 vmrtest; add chain ip6 vmrtest FORWARD { type filter hook forward priority 0; policy drop; }'`,
      ),
    undo: (lab) => lab.host('nft delete table ip6 vmrtest; sysctl -qw net.bridge.bridge-nf-call-ip6tables=0'),
  },
  {
    title: 'tap and uplink are isolated ports',
    expected: 'bridge-port-flag',
    at: /^host vnet/,
    selection: inward4,
    make: (lab) =>
      lab.host(`for p in ${tap(lab)} ${link(lab).uplink}; do ip link set $p type bridge_slave isolated on; done`),
    undo: (lab) =>
      lab.host(`for p in ${tap(lab)} ${link(lab).uplink}; do ip link set $p type bridge_slave isolated off; done`),
  },
  {
    title: 'the tap gets no multicast',
    expected: 'bridge-port-flag',
    at: /^host vnet/,
    selection: inward6,
    make: (lab) => lab.host(`ip link set ${tap(lab)} type bridge_slave mcast_flood off`),
    undo: (lab) => lab.host(`ip link set ${tap(lab)} type bridge_slave mcast_flood on`),
  },
  {
    title: 'the tap is on no bridge',
    expected: 'not-on-one-bridge',
    at: /^host vnet/,
    selection: inward4,
    make: (lab) => lab.host(`ip link set ${tap(lab)} nomaster`),
    undo: (lab) => lab.host(`ip link set ${tap(lab)} master ${link(lab).bridge}`),
  },
  {
    title: 'spanning tree listens on the tap',
    expected: 'bridge-port-state',
    at: /^host/,
    selection: inward6,
    make: (lab) =>
      lab.host(
        `ip link set ${link(lab).bridge} type bridge forward_delay 1500 stp_state 1; ip link set ${tap(lab)} down; ip link set ${tap(lab)} up`,
      ),
    undo: (lab) =>
      lab.host(
        `ip link set ${link(lab).bridge} type bridge stp_state 0; ip link set ${tap(lab)} down; ip link set ${tap(lab)} up; for i in $(seq 50); do bridge link show dev ${tap(lab)} | grep -q forwarding && break; sleep 0.1; done`,
      ),
  },
  {
    title: 'snooping with a querier, and no membership of the VM',
    expected: 'bridge-snooping',
    at: /^host .*br1/,
    selection: inward6,
    make: async (lab) => {
      const { bridge } = link(lab)
      await lab.host(
        `sysctl -qw net.ipv6.conf.${bridge}.disable_ipv6=0; for i in $(seq 50); do ip -6 -o addr show dev ${bridge} | grep -v tentative | grep -q fe80 && break; sleep 0.1; done; ip link set ${bridge} type bridge mcast_query_response_interval 10; ip link set ${bridge} type bridge mcast_snooping 1 mcast_querier 1; for i in $(seq 100); do bridge mdb show dev ${bridge} | grep -q ff02::1:ff00:1 && break; sleep 0.1; done; sleep 0.3; for g in ff00:1 ff5a:3c91 ffc3:a57e; do bridge mdb del dev ${bridge} port ${tap(lab)} grp ff02::1:$g || true; done`,
      )
    },
    undo: (lab) =>
      lab.host(
        `ip link set ${link(lab).bridge} type bridge mcast_snooping 0 mcast_querier 0 mcast_query_response_interval 1000; sysctl -qw net.ipv6.conf.${link(lab).bridge}.disable_ipv6=1`,
      ),
  },
  {
    title: 'the VM’s membership expires before the querier asks again',
    expected: 'bridge-snooping',
    at: /^host .*br1/,
    selection: inward6,
    make: (lab) => {
      const { bridge } = link(lab)
      // Of every group of an address: they expire each at its own time.
      const member = `bridge mdb show dev ${bridge} | grep -q "port ${tap(lab)} grp ff02::1:ff"`
      const joined = guestAddresses6.length + 1
      return lab.host(
        `sysctl -qw net.ipv6.conf.${bridge}.disable_ipv6=0; for i in $(seq 50); do ip -6 -o addr show dev ${bridge} | grep -v tentative | grep -q fe80 && break; sleep 0.1; done; ip link set ${bridge} type bridge mcast_query_response_interval 10 mcast_membership_interval 300 mcast_startup_query_count 1; ip link set ${bridge} type bridge mcast_snooping 1 mcast_querier 1; for i in $(seq 100); do [ $(bridge mdb show dev ${bridge} | grep -c "port ${tap(lab)} grp ff02::1:ff") -ge ${joined} ] && break; sleep 0.1; done; for i in $(seq 100); do ${member} || break; sleep 0.1; done; ! ${member}`,
      )
    },
    undo: (lab) =>
      lab.host(
        `ip link set ${link(lab).bridge} type bridge mcast_snooping 0 mcast_querier 0 mcast_query_response_interval 1000 mcast_membership_interval 26000 mcast_startup_query_count 2; sysctl -qw net.ipv6.conf.${link(lab).bridge}.disable_ipv6=1`,
      ),
  },
  {
    title: 'a static entry sends the VM’s frames to the uplink',
    expected: 'bridge-forwarding-entry',
    at: /^host .*br1/,
    selection: inward4,
    make: async (lab) =>
      lab.host(`bridge fdb replace ${await guestMac(lab)} dev ${link(lab).uplink} master static sticky`),
    undo: async (lab) => lab.host(`bridge fdb del ${await guestMac(lab)} dev ${link(lab).uplink} master`),
  },
  {
    title: 'the tap is switched off',
    expected: 'link-down',
    at: /^host vnet/,
    selection: inward4,
    make: (lab) => lab.host(`ip link set ${tap(lab)} down`),
    undo: (lab) => lab.host(`ip link set ${tap(lab)} up`),
  },
  {
    title: 'the virtual cable is unplugged',
    expected: 'link-down',
    at: /eth0$/,
    selection: inward4,
    make: async (lab) => lab.host(`virsh -q domif-setlink r1 ${await guestMac(lab)} down`),
    undo: async (lab) => lab.host(`virsh -q domif-setlink r1 ${await guestMac(lab)} up`),
  },
  {
    title: 'the PC’s interface is switched off',
    expected: 'link-down',
    at: /^pc1 eth0/,
    selection: inward4,
    make: (lab) => lab.pc(1, 'ip link set eth0 down'),
    undo: async (lab) => {
      await lab.pc(1, 'ip link set eth0 up; ip addr replace 2001:db8:dead:beaf::2/64 dev eth0 nodad')
      await makeRouter(lab)
    },
  },
  {
    title: 'IPv6 is switched off in the guest',
    expected: 'ipv6-disabled',
    at: /^r1 eth0/,
    selection: inward6,
    make: (lab) => lab.guest('sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1'),
    undo: (lab) => lab.guest(`sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0; ${giveAddresses6}`),
  },
  {
    title: 'the guest’s addresses were found to be duplicates',
    expected: 'dad-failed',
    at: /^r1 eth0/,
    selection: inward6,
    make: async (lab) => {
      const { bridge } = link(lab)
      await lab.host(
        `sysctl -qw net.ipv6.conf.${bridge}.disable_ipv6=0; ip addr add 2001:db8:dead:beaf::1/64 dev ${bridge} nodad`,
      )
      await lab.guest(
        'ip addr del 2001:db8:dead:beaf::1/64 dev eth0; ip addr add 2001:db8:dead:beaf::1/64 dev eth0; for i in $(seq 50); do ip addr show dev eth0 dadfailed | grep -q beaf && break; sleep 0.1; done',
      )
      await lab.host(
        `ip addr del 2001:db8:dead:beaf::1/64 dev ${bridge}; sysctl -qw net.ipv6.conf.${bridge}.disable_ipv6=1`,
      )
    },
    undo: (lab) =>
      lab.guest('ip addr del 2001:db8:dead:beaf::1/64 dev eth0; ip addr add 2001:db8:dead:beaf::1/64 dev eth0'),
  },
  {
    title: 'the guest has none of its addresses',
    expected: 'address-missing',
    at: /^r1 eth0/,
    selection: inward4,
    make: (lab) => lab.guest('ip addr del 192.168.1.1/24 dev eth0'),
    undo: (lab) => lab.guest('ip addr add 192.168.1.1/24 dev eth0'),
  },
  {
    title: 'the guest’s addresses are still being checked for duplicates',
    expected: 'address-tentative',
    at: /^r1 eth0/,
    selection: inward6,
    make: (lab) =>
      lab.guest(
        `sysctl -qw net.ipv6.conf.eth0.dad_transmits=120; for a in ${guestAddresses6.join(' ')}; do ip addr del $a/64 dev eth0; done; ${giveAddresses6}`,
      ),
    undo: (lab) =>
      lab.guest(
        `sysctl -qw net.ipv6.conf.eth0.dad_transmits=1; for a in ${guestAddresses6.join(' ')}; do ip addr del $a/64 dev eth0; done; ${giveAddresses6}; for i in $(seq 50); do [ -z "$(ip -6 addr show tentative)" ] && break; sleep 0.1; done`,
      ),
  },
  {
    title: 'the guest’s address stayed on a port of its bridge',
    expected: 'address-on-bridge-port',
    at: /^r1 eth0/,
    selection: inward6,
    lean: true,
    make: (lab) =>
      lab.guest('ip link add br9 type bridge mcast_snooping 0; ip link set br9 up; ip link set eth0 master br9'),
    undo: (lab) => lab.guest('ip link set eth0 nomaster; ip link del br9'),
  },
  {
    title: 'a neighbour entry set by hand is wrong',
    expected: 'neighbour-fixed',
    at: /^pc1 eth0/,
    selection: inward4,
    make: (lab) => lab.pc(1, 'ip neigh replace 192.168.1.1 lladdr 02:00:00:00:00:99 dev eth0 nud permanent'),
    undo: (lab) => lab.pc(1, 'ip neigh del 192.168.1.1 dev eth0'),
  },
  {
    title: 'the PC knows an old MAC address of the VM',
    expected: 'neighbour-stale',
    at: /^pc1 eth0/,
    selection: inward4,
    make: async (lab) => {
      // A VM that verifies its own entry for the PC asks it, and the PC learns the right address from that.
      await lab.guest('ip neigh flush dev eth0')
      await lab.pc(1, 'ip neigh replace 192.168.1.1 lladdr 02:00:00:00:00:99 dev eth0 nud reachable')
    },
    undo: (lab) => lab.pc(1, 'ip neigh flush dev eth0'),
  },
  {
    title: 'IPv4 forwarding is off in the VM',
    expected: 'forwarding-off',
    at: /^r1 eth0/,
    selection: through4,
    make: (lab) => lab.guest('sysctl -qw net.ipv4.ip_forward=0'),
    undo: (lab) => lab.guest('sysctl -qw net.ipv4.ip_forward=1'),
  },
  {
    title: 'IPv6 forwarding is off in the VM',
    expected: 'forwarding-off',
    at: /^r1 eth0/,
    selection: through6,
    make: (lab) => lab.guest('sysctl -qw net.ipv6.conf.all.forwarding=0'),
    undo: (lab) => lab.guest('sysctl -qw net.ipv6.conf.all.forwarding=1'),
  },
  {
    title: 'the far PC has no route back',
    expected: 'route-missing',
    at: /^pc2 eth0/,
    selection: through6,
    make: (lab) => lab.pc(2, 'ip -6 route del 2001:db8:dead:beaf::/64 via 2001:db8:dead:cafe::1'),
    undo: makeRouter,
  },
  {
    title: 'the near PC has no route',
    expected: 'route-missing',
    at: /^pc1 eth0/,
    selection: through4,
    make: (lab) => lab.pc(1, 'ip route del 192.168.2.0/24'),
    undo: makeRouter,
  },
  {
    title: 'the near PC sends to a router that is not the VM',
    expected: 'route-elsewhere',
    at: /^pc1 eth0/,
    selection: through4,
    make: (lab) => lab.pc(1, 'ip route replace 192.168.2.0/24 via 192.168.1.77'),
    undo: makeRouter,
  },
  {
    title: 'the near PC has its address with a prefix of 48 bits, in which the other network is',
    expected: 'prefix-too-wide',
    at: /^pc1 eth0/,
    selection: through6,
    make: (lab) =>
      lab.pc(
        1,
        'ip -6 route del 2001:db8:dead:cafe::/64; ip addr del 2001:db8:dead:beaf::2/64 dev eth0; ip addr add 2001:db8:dead:beaf::2/48 dev eth0 nodad',
      ),
    undo: async (lab) => {
      await lab.pc(
        1,
        'ip addr del 2001:db8:dead:beaf::2/48 dev eth0; ip addr add 2001:db8:dead:beaf::2/64 dev eth0 nodad',
      )
      await makeRouter(lab)
    },
  },
  {
    title: 'the far PC takes the near one for a neighbour',
    expected: 'prefix-too-wide',
    at: /^pc2 eth0/,
    selection: through4,
    make: (lab) => lab.pc(2, 'ip route replace 192.168.1.0/24 dev eth0'),
    undo: makeRouter,
  },
  {
    title: 'the host advertises itself as a router of high preference beside the VM',
    expected: 'rogue-router',
    at: /^pc1 eth0/,
    selection: through6,
    lean: true,
    make: async (lab) => {
      const { bridge } = link(lab)
      await lab.pc(
        1,
        'ip -6 route del 2001:db8:dead:cafe::/64; ip -6 route add default via 2001:db8:dead:beaf::1 dev eth0; sysctl -qw net.ipv6.conf.eth0.accept_ra=1',
      )
      await lab.host(
        `sysctl -qw net.ipv6.conf.${bridge}.disable_ipv6=0; for i in $(seq 50); do ip -6 -o addr show dev ${bridge} | grep -v tentative | grep -q fe80 && break; sleep 0.1; done; ${advertise(bridge, { preference: highPreference })}`,
      )
      await lab.pc(1, 'for i in $(seq 50); do ip -6 route show default | grep -q "proto ra" && break; sleep 0.1; done')
    },
    undo: async (lab) => {
      const { bridge } = link(lab)
      await lab.host(`${advertise(bridge, { lifetime: noRouter })}; sysctl -qw net.ipv6.conf.${bridge}.disable_ipv6=1`)
      await lab.pc(1, 'ip -6 route flush default; ! ip -6 route show default | grep .')
      await makeRouter(lab)
    },
  },
  {
    title: 'the PC forwards, and so ignores the VM’s router advertisements',
    expected: 'accept-ra-forwarding',
    at: /^pc1 eth0/,
    selection: through6,
    lean: true,
    make: async (lab) => {
      await lab.pc(
        1,
        'ip -6 route del 2001:db8:dead:cafe::/64; sysctl -qw net.ipv6.conf.eth0.accept_ra=1; sysctl -qw net.ipv6.conf.eth0.forwarding=1',
      )
      await lab.guest(advertise('eth0'))
    },
    undo: async (lab) => {
      await lab.pc(1, 'sysctl -qw net.ipv6.conf.eth0.forwarding=0; ip -6 route flush default')
      await makeRouter(lab)
    },
  },
  {
    // On the network of the other PC, which has seen no advertisement: who has was not cut off from them.
    title: 'RA guard on the host’s bridge drops the VM’s router advertisements',
    expected: 'ra-guard',
    at: /^host, between vnet\d+ and .*up2$/,
    selection: { family: 'ipv6', direction: 'pc2>pc1' },
    lean: true,
    make: async (lab) => {
      await lab.pc(2, 'ip -6 route del 2001:db8:dead:beaf::/64; sysctl -qw net.ipv6.conf.eth0.accept_ra=1')
      await lab.host(
        `nft 'add table bridge vmrtest; add chain bridge vmrtest f { type filter hook forward priority 0; }; add rule bridge vmrtest f icmpv6 type nd-router-advert drop'`,
      )
      await lab.pc(2, solicit('eth0'))
      await lab.guest(advertise('eth1', { times: 3 }))
    },
    undo: async (lab) => {
      await lab.host('nft delete table bridge vmrtest')
      await makeRouter(lab)
    },
  },
  {
    title: 'the PC’s packets leave with a hop limit of 1',
    expected: 'hop-limit',
    at: /^pc1 eth0/,
    selection: through6,
    make: (lab) => lab.pc(1, 'sysctl -qw net.ipv6.conf.eth0.hop_limit=1'),
    undo: (lab) => lab.pc(1, 'sysctl -qw net.ipv6.conf.eth0.hop_limit=64'),
  },
  {
    title: 'the reverse path filter of the VM',
    expected: 'reverse-path-filter',
    at: /^r1 eth0/,
    selection: inward4,
    make: (lab) => lab.guest('sysctl -qw net.ipv4.conf.all.rp_filter=1; ip route add 192.168.1.2/32 dev eth1'),
    undo: (lab) => lab.guest('ip route del 192.168.1.2/32 dev eth1; sysctl -qw net.ipv4.conf.all.rp_filter=0'),
  },
  {
    title: 'the VM is told not to answer pings',
    expected: 'echo-ignored',
    at: /^r1 eth0/,
    selection: inward4,
    make: (lab) => lab.guest('sysctl -qw net.ipv4.icmp_echo_ignore_all=1'),
    undo: (lab) => lab.guest('sysctl -qw net.ipv4.icmp_echo_ignore_all=0'),
  },
  {
    title: 'the VM’s interface takes no part in ARP',
    expected: 'arp-off',
    at: /^r1 eth0/,
    selection: inward4,
    make: (lab) => lab.guest('ip link set eth0 arp off'),
    undo: (lab) => lab.guest('ip link set eth0 arp on'),
  },
  {
    title: 'the VM’s address is in a VLAN, the PC’s is not',
    expected: 'wrong-vlan',
    at: /^r1 eth0/,
    selection: inward4,
    make: (lab) =>
      lab.guest(
        'ip link add link eth0 name eth0.10 type vlan id 10; ip link set eth0.10 up; ip addr del 192.168.1.1/24 dev eth0; ip addr add 192.168.1.1/24 dev eth0.10',
      ),
    undo: (lab) => lab.guest('ip link del eth0.10; ip addr add 192.168.1.1/24 dev eth0'),
  },
  {
    title: 'the tap carries only 1400 bytes',
    expected: 'path-mtu',
    at: /^host vnet/,
    selection: inward4,
    lean: true,
    make: (lab) => lab.host(`ip link set ${tap(lab)} mtu 1400`),
    undo: (lab) => lab.host(`ip link set ${tap(lab)} mtu 1500; ip link set ${link(lab).bridge} mtu 1500`),
  },
  {
    title: 'a tunnel of the VM has the MTU that VyOS gives it',
    expected: 'tunnel-mtu',
    at: /^r1 tun0$/,
    selection: { family: 'ipv6', direction: 'r1>pc2' },
    lean: true,
    make: (lab) =>
      lab.guest(
        'modprobe ip6_tunnel; ip link add tun0 type ip6tnl mode ipip6 local 2001:db8:dead:cafe::1 remote 2001:db8:dead:cafe::2 encaplimit 4; ip link set tun0 mtu 1476 up',
      ),
    undo: (lab) => lab.guest('ip link del tun0'),
  },
  {
    title: 'what the PC sends has a wrong checksum',
    expected: 'checksum-wrong',
    at: /^r1 eth0$/,
    selection: inward6,
    make: (lab) =>
      lab.pc(
        1,
        `nft 'add table ip6 vmrtest; add chain ip6 vmrtest o { type filter hook output priority 0; }; add rule ip6 vmrtest o icmpv6 type echo-request icmpv6 checksum set 0x1234'`,
      ),
    undo: (lab) => lab.pc(1, 'nft delete table ip6 vmrtest'),
  },
  {
    title: 'the PC’s firewall drops neighbour advertisements',
    expected: 'firewall-drop',
    at: /^pc1/,
    selection: inward6,
    make: (lab) =>
      lab.pc(
        1,
        `nft 'add table inet vmrtest; add chain inet vmrtest i { type filter hook input priority 0; }; add rule inet vmrtest i icmpv6 type { nd-neighbor-advert, nd-router-advert } drop'`,
      ),
    undo: (lab) => lab.pc(1, 'nft delete table inet vmrtest'),
  },
  {
    title: 'a bridge in the guest keeps the frames in a VLAN of one port',
    expected: 'bridge-vlan-filter',
    at: /^r1 eth1/,
    selection: through4,
    make: async (lab) => {
      await lab.guest(
        'ip link add br9 type bridge mcast_snooping 0 vlan_filtering 1; ip link set br9 up; ip addr del 192.168.1.1/24 dev eth0; ip addr del 192.168.2.1/24 dev eth1; ip addr add 192.168.1.1/24 dev br9; for n in eth0 eth1; do ip link set $n master br9; done; bridge vlan del dev eth1 vid 1',
      )
      await lab.pc(2, 'ip addr add 192.168.1.3/24 dev eth0')
    },
    undo: async (lab) => {
      await lab.guest(
        'ip link del br9; ip addr replace 192.168.1.1/24 dev eth0; ip addr replace 192.168.2.1/24 dev eth1',
      )
      await lab.pc(2, 'ip addr del 192.168.1.3/24 dev eth0')
      await makeRouter(lab)
    },
  },
  {
    title: 'the host has the VM’s address too, and answers first',
    expected: 'duplicate-address',
    at: /^host .*br1/,
    selection: inward4,
    make: (lab) => lab.host(`ip addr add 192.168.1.1/24 dev ${link(lab).bridge}`),
    undo: (lab) => lab.host(`ip addr del 192.168.1.1/24 dev ${link(lab).bridge}`),
  },
  {
    title: 'PC and VM have the same MAC address',
    expected: 'duplicate-mac',
    at: /pc1 eth0/,
    selection: inward4,
    make: async (lab) => lab.pc(1, `ip link set eth0 address ${await guestMac(lab)}`),
    undo: (lab) => lab.pc(1, `ip link set eth0 address ${link(lab).pc.mac}`),
  },
]

/** What breaks a path and is not in the catalogue: where it is lost is known, and no cause may be named. */
export const unknownOnBridge: readonly (Omit<ProducedFault, 'expected' | 'at'> & { readonly line: RegExp })[] = [
  {
    title: 'a queue of the tap drops every frame',
    line: /^neighbour solicitation last seen at host .*up1, not at host vnet\d+/,
    selection: inward6,
    lean: true,
    make: (lab) => lab.host(`tc qdisc add dev ${tap(lab)} root tbf rate 8kbit burst 10 limit 10`),
    undo: (lab) => lab.host(`tc qdisc del dev ${tap(lab)} root`),
  },
  {
    title: 'a rule of the VM forbids the way to the other network',
    line: /^echo request arrives at r1 eth0, and nothing comes of it there/,
    selection: through6,
    make: (lab) => lab.guest('ip -6 rule add to 2001:db8:dead:cafe::2/128 prohibit pref 100'),
    undo: (lab) => lab.guest('ip -6 rule del pref 100'),
  },
  {
    title: 'a policy of IPsec on the PC blocks what it sends',
    line: /^nothing was sent|^neighbour/,
    selection: inward6,
    make: (lab) => lab.pc(1, 'ip xfrm policy add dst 2001:db8:dead:beaf::/64 dir out action block'),
    undo: (lab) => lab.pc(1, 'ip xfrm policy del dst 2001:db8:dead:beaf::/64 dir out'),
  },
]

/** With the VM on untrusted macvtaps. */
export const onMacvtap: readonly ProducedFault[] = [
  {
    title: 'the macvtap’s multicast filter',
    expected: 'macvtap-multicast-filter',
    at: /^host macvtap/,
    selection: inward6,
    make: async () => undefined,
    undo: async () => undefined,
  },
  {
    title: 'a bridge in the guest over two macvtaps',
    expected: 'macvtap-unicast-filter',
    at: /^host macvtap/,
    selection: { family: 'ipv4', direction: 'pc1>r1,pc2>r1' },
    lean: true,
    make: (lab) =>
      lab.guest(
        "ip link add br9 type bridge mcast_snooping 0; ip link set br9 up; for n in eth0 eth1; do a=$(ip -4 -o addr show dev $n | awk '{print $4}'); ip addr del $a dev $n; ip link set $n master br9; ip addr add $a dev br9; done",
      ),
    undo: (lab) =>
      lab.guest(
        'ip link set eth0 nomaster; ip link set eth1 nomaster; ip link del br9; ip addr add 192.168.1.1/24 dev eth0; ip addr add 192.168.2.1/24 dev eth1',
      ),
  },
]

const guestGroups = ['33:33:ff:00:00:01', '33:33:ff:5a:3c:91', '33:33:ff:c3:a5:7e']
const eachGroup = (lab: DiagnosedVm, verb: 'add' | 'del') =>
  lab.host(guestGroups.map((group) => `ip maddress ${verb} ${group} dev ${tap(lab)}`).join('; '))

/** With the VM on trusted macvtaps. */
export const onTrustedMacvtap: readonly ProducedFault[] = [
  {
    // What libvirt did not hear of it makes up for as soon as it runs again, and without it there is no diagnosis: so
    // the groups that it copied are taken out of the filter behind its back.
    title: 'the macvtap’s filter lacks the groups of the guest',
    expected: 'macvtap-filter-not-synced',
    at: /^host macvtap/,
    selection: inward6,
    make: (lab) => eachGroup(lab, 'del'),
    undo: (lab) => eachGroup(lab, 'add'),
  },
]

/** The macvtaps' mode, set past libvirt. */
export const setModes = (lab: DiagnosedVm, mode: string) =>
  lab.host(`for m in /sys/class/net/macvtap*; do ip link set dev "\${m##*/}" type macvtap mode ${mode}; done`)
const betweenVms = { direction: 'r1>r2,r2>r1', peer: 'r2' } as const

/** With two VMs, r1 and r2, on trusted macvtaps in mode vepa. */
export const onOneNic: readonly ProducedFault[] = [
  {
    title: 'mode vepa sends what is between two VMs to a switch that does not send it back',
    expected: 'macvtap-guest-isolation',
    at: /^host, between macvtap\d+ and macvtap\d+$/,
    selection: { ...betweenVms, family: 'ipv6' },
    lean: true,
    make: async () => undefined,
    undo: async () => undefined,
  },
  {
    title: 'mode private keeps two VMs apart',
    expected: 'macvtap-guest-isolation',
    at: /^host, between macvtap\d+ and macvtap\d+$/,
    selection: { ...betweenVms, family: 'ipv4' },
    make: (lab) => setModes(lab, 'private'),
    undo: (lab) => setModes(lab, 'vepa'),
  },
  {
    title: 'the host’s own address is on the NIC of the macvtap',
    expected: 'macvtap-host-isolation',
    at: /^host macvtap\d+$/,
    selection: { direction: 'host>r1' },
    lean: true,
    make: (lab) =>
      lab.host(
        `ip addr add 192.168.1.200/24 dev ${link(lab).uplink}; sysctl -qw net.ipv6.conf.${link(lab).uplink}.disable_ipv6=0; ip addr add 2001:db8:dead:beaf::200/64 dev ${link(lab).uplink} nodad`,
      ),
    undo: (lab) =>
      lab.host(
        `ip addr del 192.168.1.200/24 dev ${link(lab).uplink}; sysctl -qw net.ipv6.conf.${link(lab).uplink}.disable_ipv6=1`,
      ),
  },
]
