import { z } from 'zod'

/** Preamble and start of frame 8, checksum 4, inter-frame gap 12 bytes: on the wire, and in no skb (IEEE 802.3). */
const wireOverheadBytes = 24
/** Shortest frame on the wire with that overhead: 64 + 8 + 12 bytes; with the checksum counted in the 64. */
const shortestFrameBytes = 84
/**
 * Below a GSO packet's 64 KiB, so that tbf takes it apart and counts each frame (net/sched/sch_tbf.c, tbf_segment);
 * above what one timer wake-up has to make up for at 1 Gbit/s. Measured with TCP, of the wire's limit: 8 KiB reaches
 * 94 to 98 %, 32 KiB 99 to 100 %, 128 KiB 101 %. A sender whose GSO packets are smaller than this is not charged the
 * overhead of each frame: 101 %.
 */
const burstBytes = 32 * 1024
/** About the queue of a NIC with a 1000-packet ring at 1 Gbit/s. */
const latencyMs = 10

/** Words for `tc qdisc … tbf` that make a link as fast as a wire of `rateMbits` Mbit/s, frame overhead included. */
export function shapingArguments(rateMbits: number): readonly string[] {
  return [
    ...['tbf', 'rate', `${rateMbits}mbit`, 'burst', String(burstBytes), 'latency', `${latencyMs}ms`],
    ...['overhead', String(wireOverheadBytes), 'mpu', String(shortestFrameBytes)],
  ]
}

const tbfSchema = z.object({
  kind: z.literal('tbf'),
  root: z.literal(true),
  options: z.object({ rate: z.number(), overhead: z.number() }),
})

/** True when `tc -json -details qdisc show` of a device shows what {@link shapingArguments} of that rate make. */
export function isShaped(qdiscs: readonly unknown[], rateMbits: number): boolean {
  return qdiscs.some((qdisc) => {
    const tbf = tbfSchema.safeParse(qdisc)
    if (!tbf.success) return false
    const { rate, overhead } = tbf.data.options
    return rate === (rateMbits * 1_000_000) / 8 && overhead === wireOverheadBytes
  })
}
