// The benchmarks, in the order in which they are run and shown.
import type { Scenario } from '../scenario.ts';
import { bytecode } from './bytecode.ts';
import { init, initBoto3, initFastapi } from './cold.ts';
import { concurrent } from './concurrent.ts';
import { counts } from './counts.ts';
import { echoRecords, echoText } from './echo.ts';
import { jit } from './jit.ts';
import { memory, memoryBoto3, memoryFastapi } from './memory.ts';
import { parallel } from './parallel.ts';
import { streaming } from './streaming.ts';
import { throughput } from './throughput.ts';
import { roundTrip, warm } from './warm.ts';

export const scenarios: readonly Scenario[] = [
  init,
  initBoto3,
  initFastapi,
  bytecode,
  roundTrip,
  ...warm,
  echoRecords,
  echoText,
  memory,
  memoryBoto3,
  memoryFastapi,
  ...throughput,
  concurrent,
  parallel,
  jit,
  streaming,
  ...counts,
];
