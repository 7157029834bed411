import { z } from 'zod'

const name = z.string()
const commands = z.array(z.string()).readonly()
const change = z.object({
  name,
  commands: commands.describe('`set` and `delete` lines that were sent, or would be'),
  applied: z.boolean().describe('false with --dry-run'),
  saved: z.boolean().describe('written to the guest’s disk'),
})

/** What the commands `vmr guest …` print with --json, by the command's words. */
export const guestOutputs = {
  'guest plan': z.object({ name, commands: commands.describe('empty: the guest is so already') }),
  'guest apply': change,
  'guest reset': change,
  'guest enable-api': z.object({
    name,
    changed: z.boolean().describe('false: it was on with this key already'),
    fingerprint: z.string().describe('SHA-256 of the certificate that is pinned now'),
    saved: z.boolean().describe('written to the guest’s disk'),
  }),
  'guest show': z.object({
    name,
    version: z.string(),
    commands: commands.describe('the active configuration as `set` lines, secrets masked'),
  }),
}
