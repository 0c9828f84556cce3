"use strict";
// Runs Azurite in this very process and ends it when standard input ends.
//
// The supervisor holds the other end of the pipe and never writes to it. The kernel closes that end however the
// supervisor dies, kill -9 included, so no Azurite outlives the process that started it, and there is no second
// process that could be left behind.
const end = () => process.exit(0);
process.stdin.once("end", end).once("close", end).once("error", end).resume();
// Nobody reads the output of a process whose supervisor is gone.
process.stdout.on("error", end);
process.stderr.on("error", end);

require("azurite/dist/src/azurite.js");
