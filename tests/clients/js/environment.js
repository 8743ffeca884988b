// What has to be there before matrix-js-sdk is loaded; import it first.

// The library expects Node 22; of what 20 lacks it needs only this.
Promise.withResolvers ??= function () {
    let resolve, reject;
    const promise = new this((first, second) => ([resolve, reject] = [first, second]));
    return { promise, resolve, reject };
};

// The story tells what fails; the library's own running commentary would drown it.
if (!process.env.VERBOSE) {
    for (const level of ["trace", "debug", "info", "log", "warn", "error"]) console[level] = () => {};
}
