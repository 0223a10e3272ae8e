// A session of Hyperledger's own gateway client with the node under test; writes what it saw to stdout as one JSON
// document. From stdin it reads JSON: address, channel, chaincode, mspId, certificate and key (PEM).

import * as crypto from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as grpc from '@grpc/grpc-js';
import { connect, CommitError, EndorseError, GatewayError, hash, checkpointers, signers } from '@hyperledger/fabric-gateway';

const utf8 = new TextDecoder();
const given = JSON.parse(readFileSync(0, 'utf8'));
const key = crypto.createPrivateKey(given.key);
const client = new grpc.Client(given.address, grpc.credentials.createInsecure());
const soon = () => ({ deadline: Date.now() + 10_000 });
const identity = { mspId: given.mspId, credentials: Buffer.from(given.certificate) };
const options = { evaluateOptions: soon, endorseOptions: soon, submitOptions: soon, commitStatusOptions: soon };
const sign = signers.newPrivateKeySigner(key);

async function take(stream, count, value) {
    const found = [];
    try {
        for await (const item of stream) {
            found.push(value(item));
            if (found.length === count) {
                break;
            }
        }
    } finally {
        stream.close();
    }
    return found;
}

async function refusal(action) {
    try {
        await action();
    } catch (error) {
        return {
            isEndorseError: error instanceof EndorseError,
            isGatewayError: error instanceof GatewayError,
            isCommitError: error instanceof CommitError,
            code: error.code,
            message: error.message,
            transactionId: error.transactionId,
            details: error.details,
        };
    }
    throw new Error('nothing was refused');
}

async function signedElsewhere(contract) {
    const offline = connect({ client, identity, hash: hash.sha256, ...options });
    try {
        const digest = async (signable) => sign(signable.getDigest());
        const proposal = contract.newProposal('Put', { arguments: ['offline=1'] });
        const signedProposal = offline.newSignedProposal(proposal.getBytes(), await digest(proposal));
        const transaction = await signedProposal.endorse();
        const signedTransaction = offline.newSignedTransaction(transaction.getBytes(), await digest(transaction));
        const commit = await signedTransaction.submit();
        const signedCommit = offline.newSignedCommit(commit.getBytes(), await digest(commit));
        return (await signedCommit.getStatus()).successful;
    } finally {
        offline.close();
    }
}

async function conflict(contract) {
    await contract.submitTransaction('Put', 'contested=1');
    const late = await contract.newProposal('Add', { arguments: ['contested', '1'] }).endorse();
    await contract.submitTransaction('Put', 'contested=2');
    const status = await (await late.submit()).getStatus();
    return { successful: status.successful, code: status.code };
}

async function session(gateway) {
    const network = gateway.getNetwork(given.channel);
    const contract = network.getContract(given.chaincode);
    const seen = {};
    seen.submitted = utf8.decode(await contract.submitTransaction('Put', 'node=20'));
    seen.evaluated = JSON.parse(utf8.decode(await contract.evaluateTransaction('Get', 'node', 'missing')));

    const announced = await contract.submitAsync('Announce', { arguments: ['Greeting', 'hello'] });
    seen.announced = { result: JSON.parse(utf8.decode(announced.getResult())), id: announced.getTransactionId() };
    const status = await announced.getStatus();
    seen.status = { successful: status.successful, block: Number(status.blockNumber) };
    await contract.submit('Announce', { arguments: ['Greeting', 'again'] });

    seen.transient = utf8.decode(
        await contract.evaluate('Confide', { transientData: { secret: Buffer.from('psst') } })
    );
    seen.offline = await signedElsewhere(contract);
    seen.conflict = await conflict(contract);

    const start = { startBlock: status.blockNumber };
    const event = (each) => [Number(each.blockNumber), each.transactionId, each.eventName, utf8.decode(each.payload)];
    seen.events = await take(await network.getChaincodeEvents(given.chaincode, start), 2, event);
    const checkpoint = checkpointers.inMemory();
    await checkpoint.checkpointTransaction(status.blockNumber, announced.getTransactionId());
    seen.resumed = await take(await network.getChaincodeEvents(given.chaincode, { checkpoint }), 1, event);
    seen.blocks = await take(await network.getBlockEvents({ startBlock: BigInt(0) }), 2, (block) => ({
        number: block.getHeader().getNumber(),
        transactions: block.getData().getDataList().length,
        previous: Buffer.from(block.getHeader().getPreviousHash_asU8()).toString('hex'),
    }));
    seen.filtered = await take(await network.getFilteredBlockEvents(start), 1, (block) => ({
        number: block.getNumber(),
        ids: block.getFilteredTransactionsList().map((each) => each.getTxid()),
    }));

    const refuse = ['Refuse', '409', 'ROUND_CLOSED', 'Round 3 is closed.'];
    seen.refusedSubmit = await refusal(() => contract.submitTransaction(...refuse));
    seen.refusedEvaluate = await refusal(() => contract.evaluateTransaction(...refuse));
    return seen;
}

const gateway = connect({ client, identity, signer: sign, hash: hash.sha256, ...options });
try {
    process.stdout.write(JSON.stringify(await session(gateway)));
} finally {
    gateway.close();
    client.close();
}
