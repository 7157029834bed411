/** Parts of the kernel that vmr uses, with what they are for and what becomes of vmr without. */
export const features = {
  veth: { words: 'veth pairs', without: 'there is no lab', required: true },
  bridge: { words: 'bridges', without: 'the mode bridge does not work', required: true },
  macvtap: { words: 'macvtap', without: 'the macvtap modes do not work', required: true },
  tun: { words: 'tun/tap devices', without: 'no VM can have a NIC on a bridge', required: true },
  tbf: { words: 'the token bucket filter', without: 'the lab’s links are not shaped to a rate', required: true },
  nftables: { words: 'nftables', without: 'its rules are not looked at', required: false },
  vlan: { words: '802.1Q interfaces', without: 'a PC that tags VLANs is a VM', required: false },
  ip6Tunnel: { words: 'IPv4-in-IPv6 tunnels', without: 'a tunnel’s far end is a VM', required: false },
  vhostNet: { words: 'vhost-net', without: 'QEMU itself moves every frame, which costs throughput', required: false },
} as const

export type FeatureName = keyof typeof features
