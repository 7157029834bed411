/**
 * Every child of `<interface>` that libvirt documents (formatdomain, "Network interfaces"), with all of its attributes, as
 * a QEMU domain can have it. Which types of interface take it is libvirt's; the names are the elements'.
 */
export const documentedChildren: Readonly<Record<string, string>> = {
  mac: '<mac address="52:54:00:ab:cd:01" type="static"/>',
  target: '<target dev="r1-eth0"/>',
  guest: '<guest dev="eth0"/>',
  model: '<model type="virtio"/>',
  driver:
    '<driver name="qemu" txmode="iothread" ioeventfd="on" event_idx="off" queues="2" rx_queue_size="256" tx_queue_size="512" iommu="off" ats="off" packed="off" page_per_vq="off"><host csum="off" gso="off" tso4="off" tso6="off" ecn="off" ufo="off" mrg_rxbuf="off"/><guest csum="off" tso4="off" tso6="off" ecn="off" ufo="off"/></driver>',
  backend: '<backend tap="/dev/net/tun" vhost="/dev/vhost-net"/>',
  link: '<link state="down"/>',
  mtu: '<mtu size="1400"/>',
  coalesce: '<coalesce><rx><frames max="7"/></rx></coalesce>',
  bandwidth:
    '<bandwidth><inbound average="1000" peak="5000" burst="1024"/><outbound average="128" peak="256" burst="256"/></bandwidth>',
  tune: '<tune><sndbuf>1600</sndbuf></tune>',
  filterref: '<filterref filter="clean-traffic"><parameter name="IP" value="192.0.2.2"/></filterref>',
  port: '<port isolated="yes"/>',
  rom: '<rom bar="off"/>',
  vlan: '<vlan trunk="yes"><tag id="10" nativeMode="untagged"/><tag id="20"/></vlan>',
  ip: '<ip address="10.9.0.0" family="ipv4" prefix="24"/>',
  script: '<script path="/etc/qemu-ifup"/>',
  downscript: '<downscript path="/etc/qemu-ifdown"/>',
  teaming: '<teaming type="persistent"/>',
  boot: '<boot order="1"/>',
  acpi: '<acpi index="7"/>',
  alias: '<alias name="ua-wan"/>',
  address: '<address type="pci" domain="0x0000" bus="0x01" slot="0x00" function="0x0"/>',
}
