// Command handler is Tollgate's gateway, run by the Azure Functions host as a
// custom handler or by itself.
package main

func main() {}
