import { chmod, rm } from 'node:fs/promises'
import { build } from 'esbuild'
import { bundleOptions, packageRoot } from './bundle.ts'

await rm(`${packageRoot}/dist`, { recursive: true, force: true })
await build(bundleOptions)
await chmod(`${packageRoot}/dist/cli.js`, 0o755)
