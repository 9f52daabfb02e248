"""What calls cost: from the tokens that were counted, and a price with its record. Never asks the network.

terms      what an answer says of its own price: a cost, a tier, tokens that have a price of their own
charge     tokens and rates to dollars
own        the prices of the configuration
providers  the names in the list
catalogue  the offline price list, loaded at the first price that is looked up
texts      what of a call a model reads and writes
count      how many tokens a text is, about
estimate   usage where the provider sent none
pricer     which of these holds for a task
"""
