// Logs with phospho's package for Node: BASE PROJECT, then what to log as JSON [[input, output], ...]; prints the answers.

import Phospho from "phospho";

const [base, project, said] = process.argv.slice(2);
const phospho = new Phospho("any-key", project, base);
const answers = [];
for (const [input, output] of JSON.parse(said)) answers.push(await phospho.log(input, output));
console.log(JSON.stringify(answers));
